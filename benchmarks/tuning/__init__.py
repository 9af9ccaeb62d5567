"""Tuning beside its peers: the tasks, the peers, and what is measured of them. See benchmarks/tune.py."""
