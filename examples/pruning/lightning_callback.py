"""Lightning: the learning rate and width of a small network, whose bad runs end after a few epochs."""

import logging
import warnings

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from descend.study import Study, Trial
from descend.study.pruners import MedianPruner


class Prune(lightning.Callback):
    """Ends a run that the study's pruner gives up.

    Args:
        trial: of the study.
        monitor: the metric that is reported after each validation; the module logs it.
    """

    def __init__(self, trial: Trial, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.trial.report(trainer.current_epoch, float(trainer.callback_metrics[self.monitor]))
        trainer.should_stop = trainer.should_stop or self.trial.should_stop()


class Network(lightning.LightningModule):
    """One hidden layer, that fits y = sin(3 x)."""

    def __init__(self, rate: float, width: int) -> None:
        super().__init__()
        self.rate = rate
        self.layers = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.rate)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return nn.functional.mse_loss(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.log("val_loss", nn.functional.mse_loss(self.layers(batch[0]), batch[1]))


def objective(trial: Trial) -> float:
    """The validation loss after ten epochs, or when the run was given up."""
    rate, width = trial.float("rate", 1e-5, 1, log=True), trial.int("width", 4, 64, log=True)
    x = torch.linspace(-1, 1, 128)[:, None]
    loader = DataLoader(TensorDataset(x, torch.sin(3 * x)), batch_size=32)
    trainer = lightning.Trainer(
        max_epochs=10,
        accelerator="cpu",
        callbacks=[Prune(trial)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Network(rate, width), loader, loader)
    return float(trainer.callback_metrics["val_loss"])


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    study = Study(pruner=MedianPruner(startup=4, warmup=2))
    study.run(objective, trials=20)
    pruned = sum(record.state == "pruned" for record in study.trials)
    print(f"{study.best.params}: {study.best.value:.4g}; {pruned} of {len(study.trials)} trials were pruned")
