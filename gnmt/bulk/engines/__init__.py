"""Engines: each decides which process translates a shard, and when."""
