"""The patient's page at home: is it working, what was measured last, what to do now. No value, no name."""
