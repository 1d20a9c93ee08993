"""Clinical rules as pure functions: the hub and the cloud run the same code."""
