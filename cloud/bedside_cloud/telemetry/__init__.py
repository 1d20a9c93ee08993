"""Logs that name events and fields, never a patient or a value."""
