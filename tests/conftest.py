"""What every test runs under: one thread of torch, and no screen to draw on."""

import os

# Before torch is imported: the tests run in several processes, and the sums of one thread are repeatable.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import torch

torch.set_num_threads(1)
