"""Profiles of devices that speak in advertisements only."""
