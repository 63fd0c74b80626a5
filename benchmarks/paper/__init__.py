"""The papers' experiments, each one command: `python -m benchmarks.paper NAME --data DIR`."""
