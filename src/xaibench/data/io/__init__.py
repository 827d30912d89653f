"""Image files and archives to arrays."""
