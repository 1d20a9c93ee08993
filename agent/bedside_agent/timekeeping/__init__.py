"""What time it was: boots, the moments at which the wall clock was known, and every item's time between them."""
