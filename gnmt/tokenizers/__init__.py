"""Text as tokens and back: subwords, words, mixed words and characters."""
