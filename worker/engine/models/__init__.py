"""Built models: recipes, store, verification and loading."""
