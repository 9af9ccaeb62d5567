"""Hugging Face's Trainer trains by forward passes alone, and everything around the step works as ever."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from descend.errors import CompositionError, InvalidValue
from descend.estimate import SPSA, Evolution
from descend.hf import ForwardOnly
from descend.torch_optim import Optimizer
from descend.transform import Adam

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from tiny import SENTENCES, batch_of, loss_on, model, snapshot, state_equal

SAMPLES, STEPS = 4, 30
LEARNED = 0.45  # from 0.74; four keys came to between 0.06 and 0.24


class Trainer(ForwardOnly, transformers.Trainer):
    pass


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.enable_progress_bar()
    transformers.logging.set_verbosity(level)


def optimizer(network: torch.nn.Module) -> Optimizer:
    return Optimizer(network, SPSA(radius=1e-2, samples=SAMPLES), Adam(), lr=0.1, key=0)


def settings(folder: Path, **arguments: Any) -> transformers.TrainingArguments:
    given = {
        "per_device_train_batch_size": 16,
        "logging_steps": 10,
        "save_strategy": "no",
        "max_steps": STEPS,
        "seed": 1,
        **arguments,
    }
    return transformers.TrainingArguments(
        str(folder), report_to=[], disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False, **given
    )


def trainer(network: torch.nn.Module, own: Optimizer | None, folder: Path, **arguments: Any) -> Trainer:
    return Trainer(network, settings(folder, **arguments), train_dataset=SENTENCES, optimizers=(own, None))


def logged(runner: transformers.Trainer) -> list[float]:
    return [entry["loss"] for entry in runner.state.log_history if "loss" in entry]


@contextmanager
def counted(network: torch.nn.Module) -> Iterator[list[bool]]:
    """Whether gradients were recorded, for every forward."""
    forwards: list[bool] = []
    handle = network.register_forward_pre_hook(lambda *_: forwards.append(torch.is_grad_enabled()))
    yield forwards
    handle.remove()


def test_trains_by_forward_passes_alone(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a backward pass was asked for")

    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    monkeypatch.setattr(torch.autograd, "backward", refuse)
    network = model()
    own = optimizer(network)
    runner = trainer(network, own, tmp_path)
    before = loss_on(network)
    with counted(network) as forwards:
        runner.train()
    assert len(forwards) == own.ledger.total == STEPS * 2 * SAMPLES  # what the estimator asks for, and nothing else
    assert not any(forwards)
    assert all(p.grad is None for p in network.parameters())
    assert before > 0.7
    assert loss_on(network) < LEARNED
    losses = logged(runner)
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.1


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = model()
    trainer(whole, optimizer(whole), tmp_path / "whole", max_steps=12, save_strategy="steps", save_steps=8).train()
    assert (tmp_path / "whole" / "checkpoint-8" / "optimizer.pt").exists()
    rest = model()
    own = optimizer(rest)
    runner = trainer(rest, own, tmp_path / "rest", max_steps=12)
    with counted(rest) as forwards:
        runner.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-8"))
    assert state_equal(snapshot(whole), snapshot(rest))
    assert len(forwards) == 4 * 2 * SAMPLES
    assert own.t == 12
    assert own.ledger.total == 12 * 2 * SAMPLES


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
        {"label_smoothing_factor": 0.2},
        {"bf16": True},
    ],
    ids=str,
)
def test_logs_the_losses_of_a_plain_trainer(arguments, tmp_path):
    """Of one that stays where it is: a step's loss is that of all its batches, scaled as the trainer scales it."""
    shared = {"max_steps": 2, "logging_steps": 1, **arguments}
    network = model(dropout=0.0)
    own = Optimizer(network, SPSA(radius=1e-4, samples=2), Adam(), lr=0.0, key=0)
    runner = trainer(network, own, tmp_path, **shared)
    with counted(network) as forwards:
        runner.train()
    assert len(forwards) == 2 * 4 * arguments.get("gradient_accumulation_steps", 1)
    plain = transformers.Trainer(
        model(dropout=0.0), settings(tmp_path, learning_rate=0.0, **shared), train_dataset=SENTENCES
    )
    plain.train()
    assert logged(runner) == pytest.approx(logged(plain), rel=1e-4 if "bf16" not in arguments else 1e-2)


def test_batches_that_are_accumulated_are_one_step(tmp_path):
    together, apart = model(dropout=0.0), model(dropout=0.0)
    for network, size, parts in ((together, 16, 1), (apart, 4, 4)):
        own = Optimizer(network, SPSA(radius=1e-2, samples=SAMPLES), lr=1e-2 / parts, key=0)
        runner = trainer(
            network, own, tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=parts, max_steps=3
        )
        runner.train()
    # the trainer adds up the mean losses of a model that does not divide by the number of items, hence lr / parts
    for p, q in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-4)
    assert not state_equal(snapshot(together), snapshot(model()))


def test_the_trainers_schedule_and_the_callers_optimizer(tmp_path):
    network = model()
    own = optimizer(network)
    trainer(network, own, tmp_path, max_steps=4, lr_scheduler_type="linear").train()
    assert own.param_groups[0]["lr"] == 0.0  # at the end of the line
    own.param_groups[0]["lr"] = 0.1
    before = snapshot(network)
    own.step(lambda: network(**batch_of(SENTENCES)).loss)
    assert not state_equal(before, snapshot(network))  # a step of the caller's is a step


def test_half_precision_weights(tmp_path):
    network = model(dtype=torch.bfloat16)
    trainer(network, optimizer(network), tmp_path).train()
    assert loss_on(network) < 0.6  # its losses have three digits
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_a_population_runs_as_one_forward(tmp_path):
    network = model()
    own = Optimizer(network, Evolution(pairs=8, rank=1, radius=1e-2), Adam(), lr=0.05, key=0)
    runner = trainer(network, own, tmp_path)
    with counted(network) as forwards:
        runner.train()
    assert own.ledger.total == STEPS * 16
    assert len(forwards) < STEPS * 2  # the first is small, to learn how much memory a member takes
    assert loss_on(network) < LEARNED


def test_a_metric_that_has_no_gradient(tmp_path):
    def share_of_mistakes(outputs, labels, num_items_in_batch=None):
        return (outputs.logits.argmax(-1) != labels).float().mean()

    network = model(dropout=0.0)
    own = Optimizer(network, SPSA(radius=0.2, samples=8), Adam(), lr=0.1, key=0)
    runner = trainer(network, own, tmp_path, per_device_train_batch_size=64)
    runner.compute_loss_func = share_of_mistakes
    runner.train()
    assert logged(runner)[0] > 0.4  # as many as if the answer were always the same
    network.eval()
    assert share_of_mistakes(network(**batch_of(SENTENCES)), batch_of(SENTENCES)["labels"]) < 0.1


def test_what_cannot_be_is_said(tmp_path):
    network = model()
    with pytest.raises(CompositionError, match="ForwardOnly needs an optimizer that estimates, got None"):
        trainer(network, None, tmp_path).train()
    with pytest.raises(CompositionError, match="SPSA"):
        trainer(network, Optimizer(network, Adam(), lr=0.1), tmp_path).train()
    runner = trainer(network, optimizer(network), tmp_path)
    runner.accelerator = SimpleNamespace(scaler=None, num_processes=2)
    with pytest.raises(CompositionError, match=r"parallel=Parallel\(batch=2\)"):
        runner.create_optimizer()
    runner.accelerator = SimpleNamespace(scaler=object(), num_processes=1)
    with pytest.raises(InvalidValue, match="bf16=True"):
        runner.create_optimizer()
