"""Pictures of attention and training curves; needs the extra `plots` (matplotlib)."""
