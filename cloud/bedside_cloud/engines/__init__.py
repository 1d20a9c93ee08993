"""The programs that the services stand on: PostgreSQL, nats-server, and the cluster's certificates."""
