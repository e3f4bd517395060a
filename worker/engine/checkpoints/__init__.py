"""Published checkpoints: download, configuration and weights."""
