"""The events and requests between services, one file a service: all that they may import of one another."""
