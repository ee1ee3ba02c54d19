"""Command lines of `gnmt`; importing a module has no side effects."""
