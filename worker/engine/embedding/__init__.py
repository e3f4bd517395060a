"""The bi-encoder: build, encoder and classifier."""
