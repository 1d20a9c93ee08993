"""Who is who: hubs by certificate, people by password, and the broker's question whom to let in."""
