"""Image data sets from their standard files, as NumPy arrays; no framework needed."""
