"""What a translation is worth, sentence by sentence."""
