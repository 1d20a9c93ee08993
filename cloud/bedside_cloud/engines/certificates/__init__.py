"""The cluster's certificates: a root kept apart, an issuing authority, and what it issues. Only importer of
cryptography in the cloud."""
