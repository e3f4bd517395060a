"""The domain that the web and the workers share: labels, tables, jobs, settings. No Flask, no ML library."""

__version__ = "0.1.0"
