"""Refinement: tagging a whole file better than row by row, because the whole file is known.

``ngrams`` and ``geometry`` are the two views of a row that no label name speaks of, ``fitting`` learns from a sample
of the file what its labels look like in them and decides every row anew, ``vectors`` is how embeddings are kept, and
``choosing`` names the rows that a person should look at.
"""

from worker.refinement.refiner import Examples, Refiner, Rows, fit

__all__ = ["Examples", "Refiner", "Rows", "fit"]
