"""Programs of one machine, their parameters and output, and the bundled servers."""
