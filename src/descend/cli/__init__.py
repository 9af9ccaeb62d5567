"""The command line: ``descend minimize "python sim.py --a {a}" --float a=0:1``."""

from descend.cli.app import app, main

__all__ = ["app", "main"]
