"""fairseq trainers for vocabulary parallelism and BMUF."""
