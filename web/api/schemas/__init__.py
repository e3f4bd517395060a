"""What the API answers, as models: they describe it, and tests hold real answers against them."""
