"""PostgreSQL as the services share it: a pool, named SQL, migrations, and the outbox."""
