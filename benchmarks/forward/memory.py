"""Peak resident memory of a step above a no-grad forward of the same batch, on the GPT; a process per row."""

import torch
from measure import table

from forward.networks import GPT, gpt, next_word, tokens
from forward.steps import step_of
from forward.tools import NO_TARGET, Target, alone, peak

MB = 2**20
ROWS = {
    # name: (what is run, rows of the batched forward that it is compared with, whether the target is for it)
    "dense signs, SPSA": ("signs", 1, True),
    "rank one, SPSA, one side after the other": ("rank one", 1, True),
    "rank one, SPSA, both sides as one forward": ("rank one, pair", 2, True),
    "8 members of rank one as one forward": ("population", 8, True),
    "recipe of MeZO": ("recipe", 1, False),
    "torchzero, MeZO": ("torchzero", 1, False),
    "backpropagation, SGD": ("backpropagation", 1, False),
}


def measure(what: str, members: int) -> dict[str, float]:
    """Bytes of the peak of two steps above the peak of a forward of `members` times the batch."""
    torch.set_num_threads(1)
    small, few = GPT(layers=1, vocabulary=64), torch.zeros(1, 8, dtype=torch.long)
    step_of(what, small, few)()  # what is loaded or compiled once is no step's memory
    model, batch = gpt(), tokens(1)
    wide = batch.repeat(members, 1)

    def forward() -> None:
        with torch.no_grad():
            next_word(model, wide)

    forward()
    bare = min(peak(forward) for _ in range(2))
    step = step_of(what, model, batch)
    return {
        "extra": peak(lambda: [step() for _ in range(2)]) - bare,
        "weights": 4 * sum(map(torch.numel, model.parameters())),
    }


def main() -> str:
    rows = []
    for name, (what, members, is_ours) in ROWS.items():
        found = alone("memory", what, members)
        extra, weights = found["extra"] / MB, found["weights"] / MB
        target = Target(most=max(32.0, round(0.01 * weights)), unit=" MB") if is_ours else NO_TARGET
        rows.append([name, f"{extra:.0f} MB", f"{extra / weights:.1%}", *target.cells(extra)])
    heads = ["what", "above the forward", "of the weights", "target", "met"]
    return table("Memory of a step above a no-grad forward, GPT of 98M parameters, 1x128 words", heads, rows)
