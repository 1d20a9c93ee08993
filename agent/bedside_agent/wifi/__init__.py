"""Wi-Fi without a screen: a network of the hub's own that asks for the home's, and the hub's name in the home."""
