"""Tables of text and their output formats."""
