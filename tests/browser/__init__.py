"""The pages as people meet them. A package, so that what its tests share ends with the last of them."""
