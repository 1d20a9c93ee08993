"""Bluetooth Low Energy: what the agent needs of a radio, the two radios, and one session a device."""
