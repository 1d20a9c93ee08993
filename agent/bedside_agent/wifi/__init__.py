"""A hub that nobody gave a network opens one of its own, with a page that asks for the home's.

The agent does not start it yet: nothing here speaks with NetworkManager.
"""
