"""Run-time profiles on the COCO suites: the harness, the solvers, the tables."""
