"""The small ensemble that ships with edgeens, and the demonstration that runs on it."""
