"""Benchmarks: the same work against a limit or a peer, measured in the same run. `python -m benchmarks --help`."""
