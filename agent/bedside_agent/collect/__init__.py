"""From a device's bytes to measurements in the sink: one bounded queue a device."""
