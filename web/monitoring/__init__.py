"""Health, metrics and the models that live workers serve."""
