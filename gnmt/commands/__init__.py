"""Command lines; importing one changes nothing, running it may."""
