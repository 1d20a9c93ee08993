"""Alarms that the hub raises by itself: care plan in, alarm out."""
