"""Translation server: an engine thread, an HTTP application and a web page."""
