"""One command that keeps the whole cloud running on one machine, and its state directory."""
