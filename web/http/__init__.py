"""HTTP details that every feature shares."""
