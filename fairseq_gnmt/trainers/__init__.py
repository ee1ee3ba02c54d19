"""fairseq trainers for ways of dividing work over processes other than data parallelism."""
