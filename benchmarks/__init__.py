"""Measurements of edgeens beside named peers, run by `make bench`."""
