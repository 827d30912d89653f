"""The report as one HTML page: templates, drawings and pictures inside it."""
