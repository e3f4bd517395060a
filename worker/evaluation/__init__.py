"""Measures models and settings on labelled files, without servers.

``files`` reads them, ``scorer`` calls the models, ``decisions``, ``corrections`` and ``open_set`` decide the rows, and
``figures`` judges them. ``bootstrap`` and ``selective`` work on numbers only.
"""
