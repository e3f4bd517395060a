"""Label sets over HTTP: input, files, API and pages."""
