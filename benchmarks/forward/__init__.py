"""The parts of `benchmarks/forward_only.py`: what is measured, the networks it is measured on, and the peers."""
