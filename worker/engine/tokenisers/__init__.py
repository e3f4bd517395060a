"""Tokenisers, and pairs of texts for cross-encoders."""
