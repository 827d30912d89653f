"""A run as one page that can be opened anywhere, and its figures; loads no network library."""
