"""Who is cared for, by whom, measured by which device, served by which hub, within which limits."""
