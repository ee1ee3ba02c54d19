"""Trainers of fairseq for other ways to share the work between processes than data parallelism."""
