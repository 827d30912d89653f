"""The command line: one module per command; a command imports its libraries only when it runs."""
