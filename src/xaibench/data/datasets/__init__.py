"""Published data sets and folders of the user: one module each, and the layouts they share."""
