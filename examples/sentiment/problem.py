"""What every run has in common: the snippets as tensors, fresh models to train, the loss, and the accuracy."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import descend as dd

from .encoder import ANCHORS, Activations, Encoder, Head, Whole, pad
from .task import Split

__all__ = ["Batch", "Problem", "centred", "cross_entropy", "mistakes", "prepare"]

POOL = 16
"""Mini-batches that are cut from one heap of snippets, sorted by length: then little of a batch is padding."""

REFERENCE = 256
"""Training snippets whose mean score is the threshold, half of them fresh."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model takes, states (b, n, width) or token numbers (b, n), the mask (b, n) of what is no padding, and the
    labels (b,): 1 is fresh."""

    inputs: Tensor
    mask: Tensor
    labels: Tensor


def centred(model: nn.Module, batch: Batch) -> Tensor:
    """Scores of a mini-batch (b,) against their mean: half of its labels are fresh, so its scores should balance too.

    Where the threshold should lie is what all examples of a mini-batch agree on, by chance. It is most of the noise in
    the slope of a small one, and costs nothing to leave out: one number, found at the end.
    """
    scores = model(batch.inputs, batch.mask)
    return scores - scores.mean()


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """How surprised the model is by the labels of a mini-batch, mean: ()."""
    return F.binary_cross_entropy_with_logits(centred(model, batch), batch.labels.float())


def mistakes(model: nn.Module, batch: Batch) -> Tensor:
    """The share of a mini-batch that the model gets wrong: (), a loss that no gradient can be taken of."""
    return ((centred(model, batch) > 0) != batch.labels).float().mean()


@dataclass(frozen=True, eq=False)
class Problem:
    """The snippets as tensors, and the encoder.

    Args:
        encoder: is never changed; runs train copies.
        anchors: embeddings of the anchors (2, width), of the untrained encoder.
        kept: what enters the learning layers, of every snippet.
        numbers: token numbers of every snippet.
        labels: 1 is fresh (n,).
        train: indices of the snippets to learn from.
        validation: of those to look on with.
        test: of those to test on.
    """

    encoder: Encoder
    anchors: Tensor
    kept: Activations
    numbers: Sequence[Tensor]
    labels: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor

    def head(self) -> Head:
        """A copy of the last layers as they were pretrained. Its input is the activations that are kept."""
        return Head(copy.deepcopy(self.encoder.layers[self.encoder.below :]), self.anchors)  # type: ignore[arg-type]

    def whole(self, learning: int) -> Whole:
        """A copy of the pretrained encoder of which so many of the last layers may learn. Its input is the tokens."""
        model = copy.deepcopy(self.encoder.model).requires_grad_(False)
        layers: nn.ModuleList = model.encoder.layer  # type: ignore[union-attr, assignment]
        for layer in layers[len(layers) - learning :]:
            layer.requires_grad_(True)
        return Whole(model, self.anchors)

    def batch(self, chosen: Tensor, model: nn.Module) -> Batch:
        """Some snippets in the form that a model takes."""
        if isinstance(model, Whole):
            return Batch(*pad([self.numbers[i] for i in chosen.tolist()]), self.labels[chosen])
        return Batch(*self.kept.inputs(chosen), self.labels[chosen])

    def batches(self, size: int, key: dd.Key) -> Iterator[Tensor]:
        """Indices of mini-batches to learn from, for ever, half of each fresh; what fills none is left for later."""
        half, epoch = size // 2, 0
        classes = [self.train[self.labels[self.train] == label] for label in (0, 1)]
        while True:
            mixed = [own[key.fold(epoch, i).permutation(len(own))] for i, own in enumerate(classes)]
            for j, heaps in enumerate(zip(*(own.split(half * POOL) for own in mixed), strict=True)):
                rotten, fresh = (heap[self.kept.lengths[heap].argsort(stable=True)] for heap in heaps)
                for k in key.fold(epoch, "heap", j).permutation(len(rotten) // half).tolist():
                    yield torch.cat([rotten[k * half : (k + 1) * half], fresh[k * half : (k + 1) * half]])
            epoch += 1

    @torch.no_grad()
    def scores(self, model: nn.Module, chosen: Tensor) -> Tensor:
        """What a model says about some snippets (n,): above 0 is fresh.

        The threshold is the mean score of some training snippets, half of which are fresh.
        """
        asked = torch.cat([chosen, self.train[:REFERENCE]])
        scores = torch.empty(len(asked))
        for some in self.kept.lengths[asked].argsort().split(64):
            batch = self.batch(asked[some], model)
            scores[some] = model(batch.inputs, batch.mask)
        return scores[: len(chosen)] - scores[len(chosen) :].mean()

    def loss_and_accuracy(self, model: nn.Module, chosen: Tensor) -> tuple[float, float]:
        """Mean cross-entropy, and the share of some snippets that the model gets right."""
        scores, labels = self.scores(model, chosen), self.labels[chosen]
        loss = F.binary_cross_entropy_with_logits(scores, labels.float())
        return float(loss), float(((scores > 0) == labels).float().mean())


def prepare(split: Split, encoder: Encoder, watch: Callable[[int], None] = lambda _: None) -> Problem:
    """Run the pretrained encoder over every snippet once.

    Args:
        watch: called with the number of snippets done so far.
    """
    texts = [snippet.text for snippet in split.all]
    parts = torch.arange(len(texts)).split([len(split.train), len(split.validation), len(split.test)])
    return Problem(
        encoder,
        encoder.embed(ANCHORS),
        encoder.activations(texts, watch),
        [torch.tensor(numbers) for numbers in encoder.tokens(texts)],
        torch.tensor([int(snippet.fresh) for snippet in split.all]),
        *parts,
    )
