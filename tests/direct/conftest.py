"""The loop that the tests of this folder share."""

import numpy as np
import pytest
import torch

from descend.key import Key


@pytest.fixture
def descended():
    """descended(method, f, x, most): the last state, and after how many evaluations f was at most `target`, or None."""
    return _descended


def _descended(method, f, x, most, domain=None, target=-np.inf, key=0):
    state, made, hit = method.init(torch.as_tensor(x, dtype=torch.float64), Key(key), domain), 0, None
    while made < most and not state.done and hit is None:
        state, xs = method.ask(state)
        losses = [f(p.numpy()) for p in xs]
        for loss in losses:
            made += 1
            hit = made if hit is None and loss <= target else hit
        state = method.tell(state, xs, torch.tensor(losses, dtype=torch.float64))
    return state, hit
