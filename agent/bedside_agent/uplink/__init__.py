"""The way to the cloud: connection, sending window, receipts, enrolment."""
