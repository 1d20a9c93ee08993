"""Bluetooth Low Energy profiles: one device or service a file, decoder and encoder side by side."""
