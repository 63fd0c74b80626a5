"""The file format: its writer and its slow reference reader."""
