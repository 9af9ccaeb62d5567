"""An optimizer that was prepared by accelerate is stepped with a closure, saved and loaded like any other."""

import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from descend.estimate import SPSA
from descend.torch_optim import Optimizer
from descend.transform import Adam

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from tiny import SENTENCES, loss_on, model, snapshot, state_equal


@pytest.fixture(autouse=True)
def _fresh():
    """Accelerate keeps what it was told in module state."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def prepared(**options):
    accelerator = Accelerator(cpu=True, **options)
    network = model()
    own = Optimizer(network, SPSA(radius=1e-2, samples=8), Adam(), lr=0.05, key=0)
    loader = torch.utils.data.DataLoader(SENTENCES, batch_size=16)
    return accelerator, own, *accelerator.prepare(network, own, loader)


def train(network, optimizer, loader, epochs):
    for _ in range(epochs):
        for batch in loader:
            optimizer.step(lambda: network(**batch).loss)  # noqa: B023  # asked at once
            optimizer.zero_grad()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_prepared_model_and_optimizer(precision):
    accelerator, own, network, optimizer, loader = prepared(mixed_precision=precision)
    before = loss_on(network)
    train(network, optimizer, loader, 8)
    assert before > 0.7
    assert loss_on(accelerator.unwrap_model(network)) < 0.45
    assert own.ledger.total == 8 * 4 * 2 * 8  # epochs, batches, sides, samples
    assert all(p.grad is None for p in network.parameters())


def test_saved_and_loaded_the_run_goes_on_bit_for_bit(tmp_path):
    accelerator, _, network, optimizer, loader = prepared()
    train(network, optimizer, loader, 1)
    accelerator.save_state(str(tmp_path))
    train(network, optimizer, loader, 1)
    whole = snapshot(network)
    accelerator, _, network, optimizer, loader = prepared()
    accelerator.load_state(str(tmp_path))
    train(network, optimizer, loader, 1)
    assert state_equal(whole, snapshot(network))


def test_a_step_is_one_even_where_batches_are_accumulated():
    accelerator, own, network, optimizer, loader = prepared(gradient_accumulation_steps=2)
    batches = []
    for batch in loader:
        with accelerator.accumulate(network):
            batches.append(batch)
            # the wrapper passes on a step only where gradients would be synchronised
            optimizer.step(lambda parts=tuple(batches): sum(network(**b).loss for b in parts) / len(parts))
            if accelerator.sync_gradients:
                batches.clear()
    assert own.t == 2
    assert own.ledger.total == 2 * 2 * 8
