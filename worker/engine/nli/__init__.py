"""The cross-encoder: reads a text together with each label's hypothesis."""
