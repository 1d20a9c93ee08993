"""What a tech and an operator do from a terminal: claims, people, patients, devices, limits, backups."""
