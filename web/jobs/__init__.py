"""Jobs over HTTP: submission, API and pages."""
