"""The cross-encoder: a text and a hypothesis are read together, and each label is a hypothesis."""
