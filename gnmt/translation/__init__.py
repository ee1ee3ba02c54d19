"""Translation of texts: options, results, and conversion between texts and token ids."""
