"""What travels between hub and cloud: topics, messages, codec and their JSON Schema."""
