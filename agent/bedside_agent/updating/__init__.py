"""Another version of the agent, on command from elsewhere."""
