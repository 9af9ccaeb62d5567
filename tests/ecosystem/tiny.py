"""What the tests of this folder train: a tiny BERT that has to find the answer in the first word."""

import copy
from typing import Any

import torch
import transformers
from torch import nn

__all__ = ["SENTENCES", "batch_of", "loss_on", "model", "snapshot", "state_equal"]


def _sentences(count: int) -> list[dict[str, Any]]:
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 20, (count, 6), generator=draw)
    labels = torch.randint(0, 2, (count,), generator=draw)
    ids[:, 0] = labels  # the words 0 and 1 stand nowhere else
    return [{"input_ids": i, "labels": label} for i, label in zip(ids, labels, strict=True)]


SENTENCES = _sentences(64)


def model(dropout: float = 0.1, dtype: torch.dtype = torch.float32) -> transformers.PreTrainedModel:
    """The same at every call, with dropout unless it is 0."""
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.BertForSequenceClassification(config)
        for p in network.parameters():  # as if trained before: close to zero a network has next to no slope
            p.data.add_(torch.randn_like(p), alpha=0.3)
        return network.to(dtype)


def batch_of(sentences: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """All of them as one batch."""
    return {name: torch.stack([s[name] for s in sentences]) for name in sentences[0]}


def loss_on(network: nn.Module, sentences: list[dict[str, Any]] = SENTENCES) -> float:
    """The mean loss of all sentences, in eval mode."""
    training = network.training
    network.eval()
    with torch.no_grad():
        loss = float(network(**batch_of(sentences)).loss)
    network.train(training)
    return loss


def snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of parameters and buffers."""
    return copy.deepcopy(network.state_dict())


def state_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts are the same bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
