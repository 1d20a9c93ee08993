"""The hub's store: every reading, alarm and event until the cloud says that it holds it."""
