"""NATS as the services use it: requests, fan-out, and durable consumers of the hubs' lanes."""
