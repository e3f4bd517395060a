"""Measuring any model and setting on files whose right labels are known, without servers.

``files`` reads them, ``scoring`` asks the models, ``deciding``, ``corrections`` and ``open_set`` decide the rows, and
``figures`` says how well. ``bootstrap``, ``selective`` and ``rejection`` know numbers only.
"""
