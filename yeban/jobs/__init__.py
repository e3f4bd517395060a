"""The job service: the only code that changes jobs, chunks and results. Each function owns its transaction."""
