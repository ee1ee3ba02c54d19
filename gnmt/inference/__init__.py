"""The network prepared for decoding: one target position at a time, in float32 or in 8-bit integers."""
