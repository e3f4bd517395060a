"""Tasks of a worker: group messages, claim chunks, score, store or reply."""
