"""The ``yeban`` command and what it starts. A package, so that what its tests share ends with the last of them."""
