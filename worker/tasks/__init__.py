"""What a worker does with a message: group, claim, score, store or reply."""
