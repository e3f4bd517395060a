"""Refinement: better labels for a file than row by row, learned from the whole file.

``ngrams`` and ``geometry`` are two views of a row that do not depend on label names, ``refiner`` learns the labels'
shape in them from a sample of the file and relabels every row, ``vectors`` packs embeddings, and ``review_choice``
picks the rows for review.
"""

from worker.refinement.refiner import Examples, Refiner, Rows, fit

__all__ = ["Examples", "Refiner", "Rows", "fit"]
