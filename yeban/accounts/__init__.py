"""Who may sign in: people with passwords, and programs with tokens."""
