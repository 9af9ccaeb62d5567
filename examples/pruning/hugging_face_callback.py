"""Hugging Face's Trainer: the learning rate of a tiny BERT, whose bad runs end after a few evaluations."""

import tempfile
from typing import Any

import torch
import transformers

from descend.study import Study, Trial
from descend.study.pruners import MedianPruner


class Prune(transformers.TrainerCallback):
    """Ends a training that the study's pruner gives up.

    Args:
        trial: of the study.
        monitor: the metric that is reported after each evaluation.
    """

    def __init__(self, trial: Trial, monitor: str = "eval_loss") -> None:
        self.trial, self.monitor = trial, monitor

    def on_evaluate(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if metrics is not None and self.monitor in metrics:
            self.trial.report(state.global_step, metrics[self.monitor])
            control.should_training_stop = control.should_training_stop or self.trial.should_stop()


def sentences(count: int) -> list[dict[str, torch.Tensor]]:
    """Six words each, of which the first is the answer."""
    words = torch.randint(2, 20, (count, 6), generator=torch.Generator().manual_seed(0))
    words[:, 0] = torch.arange(count) % 2
    return [{"input_ids": row, "labels": row[0]} for row in words]


def objective(trial: Trial) -> float:
    """The loss after five epochs, or when the training was given up."""
    rate = trial.float("rate", 1e-5, 1, log=True)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    data = sentences(64)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            num_train_epochs=5,
            learning_rate=rate,
            per_device_train_batch_size=16,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        trainer = transformers.Trainer(
            transformers.BertForSequenceClassification(config),
            arguments,
            train_dataset=data,  # type: ignore[arg-type]  # a list is one
            eval_dataset=data,  # type: ignore[arg-type]
            callbacks=[Prune(trial)],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return trainer.evaluate()["eval_loss"] if trial.last is None else trial.last[0]


if __name__ == "__main__":
    study = Study(pruner=MedianPruner(startup=4, warmup=4))
    study.run(objective, trials=15)
    pruned = sum(record.state == "pruned" for record in study.trials)
    print(f"{study.best.params}: {study.best.value:.4g}; {pruned} of {len(study.trials)} trials were pruned")
