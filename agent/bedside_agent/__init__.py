"""What runs on the Raspberry Pi: reads devices, keeps every reading until it is stored, raises alarms by itself."""
