"""Translation of large files: a folder of shards, each translated once, by processes that may be killed at any time."""
