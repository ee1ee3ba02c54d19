"""Translation of texts: options, results, and the way from texts to token ids and back."""
