"""Engines, which assign shards to processes."""
