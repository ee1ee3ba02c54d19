"""Rewards of sampled translations, per sentence."""
