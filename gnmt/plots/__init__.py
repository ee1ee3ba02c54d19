"""Pictures of attention and of trainings; they need the extra `plots` (matplotlib)."""
