"""Translation server: one engine thread, an HTTP application around it, and its page."""
