"""Turns alarms and readings into alerts: one active alert per patient and condition, one writer per alert."""
