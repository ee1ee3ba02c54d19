"""Parallel text before tokenisation: download, cleaning, segmentation, preparation for training."""
