"""GNMT without fairseq: everything in this package works where fairseq is not installed."""
