"""Lightning's manual optimisation: `opt.step(closure)` in a training_step that never calls manual_backward."""

import sys
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import pytest
import torch

from descend.estimate import SPSA
from descend.torch_optim import Optimizer
from descend.transform import Adam

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from tiny import SENTENCES, loss_on, model, snapshot, state_equal


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = model()

    def configure_optimizers(self) -> Optimizer:
        return Optimizer(self.network, SPSA(radius=1e-2, samples=8), Adam(), lr=0.05, key=0)

    def training_step(self, batch: Any, _: int) -> None:
        optimizer: Any = self.optimizers()
        self.log("loss", optimizer.step(lambda: self.network(**batch).loss))


def run(folder: Path, epochs: int, resume: Path | None = None, **options: Any) -> tuple[Classifier, lightning.Trainer]:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=1,
        **options,
    )
    classifier = Classifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about workers and rates of logging
        loader = torch.utils.data.DataLoader(SENTENCES, batch_size=16)
        trainer.fit(classifier, loader, ckpt_path=resume, weights_only=True)
    return classifier, trainer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_manual_optimisation(precision, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a backward pass was asked for")

    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    before = loss_on(model())
    classifier, trainer = run(tmp_path, 8, enable_checkpointing=False, precision=precision)
    assert before > 0.7
    assert loss_on(classifier.network) < 0.45
    assert trainer.callback_metrics["loss"] < before
    assert all(p.grad is None for p in classifier.parameters())
    assert trainer.optimizers[0].ledger.total == 8 * 4 * 2 * 8  # epochs, batches, sides, samples
    assert trainer.global_step == 32


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    half, trainer = run(tmp_path, 1)
    checkpoint = tmp_path / "half.ckpt"
    trainer.save_checkpoint(checkpoint)
    whole, _ = run(tmp_path, 2, enable_checkpointing=False)
    rest, trainer = run(tmp_path, 2, checkpoint, enable_checkpointing=False)
    assert not state_equal(snapshot(half), snapshot(whole))
    assert state_equal(snapshot(whole), snapshot(rest))
    assert trainer.optimizers[0].t == 8
