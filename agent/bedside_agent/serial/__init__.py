"""Serial lines: what the agent needs of a port, the real one, and one session a device."""
