"""Simulated devices, one a file, built from the profiles' own encoders."""
