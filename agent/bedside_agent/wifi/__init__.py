"""Wi-Fi without a screen: a network of the hub's own to ask for the home's, and the hub's name in the home's network."""
