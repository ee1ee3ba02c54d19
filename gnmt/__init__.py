"""GNMT without fairseq: everything in this package works where fairseq is not installed."""

__version__ = "0.1.0"
