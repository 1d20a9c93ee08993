"""Serial profiles: one device a file, framing without I/O: feed bytes, get measurements or a typed error."""
