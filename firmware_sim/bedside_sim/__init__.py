"""Simulated devices, patients and faults, and the demonstration."""
