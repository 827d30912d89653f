"""The sections of the report page, each as data for the template."""
