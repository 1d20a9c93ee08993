"""Admits what hubs send, stores it once, and says what is stored."""
