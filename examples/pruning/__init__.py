"""Bad runs of a network or of boosted trees are ended early: a callback of some lines for each trainer.

All do the same: they report what the trainer has measured, and tell it to stop when the study's pruner says so. The
objective then returns what there is, and the trial counts as pruned.

    python -m examples.pruning.lightning_callback
"""
