"""The network prepared for decoding: one target position at a time, in float32, half precision or 8-bit integers."""
