"""Results, corrections and accuracy over HTTP."""
