"""Parallel text before it is tokenised: download, cleaning, segmentation, preparation for training."""
