"""8-bit weights and 16-bit activations (Wu et al. 2016, section 6): arithmetic, and storage in checkpoints."""
