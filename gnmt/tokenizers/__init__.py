"""Tokenizers: subwords, words, and mixed words and characters."""
