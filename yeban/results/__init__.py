"""Results of jobs: rows, corrections, summaries and evaluation."""
