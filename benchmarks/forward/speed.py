"""Time of a step in units of two bare no-grad forwards, on the GPT, one thread; medians over rounds in turns."""

import torch
from measure import table

from forward.networks import GPT, gpt, next_word, tokens
from forward.steps import step_of
from forward.tools import NO_TARGET, Target, alone, in_turns, ratio

BATCHES = {
    # examples x words: (examples, words, rounds)
    "8x128": (8, 128, 3),
    "1x128": (1, 128, 7),
    "1x8": (1, 8, 11),
}
ROWS = {
    # what is run: (its name, the most it may take on a batch; None where there is no target)
    "signs": ("dense signs", {"8x128": 1.02, "1x128": 1.08}),
    "signs, pair": ("dense signs, both sides as one forward", {"8x128": None, "1x128": None}),
    "rank one": ("rank one, one side after the other", {"8x128": 1.05, "1x128": 1.05}),
    "rank one, pair": ("rank one, both sides as one forward", {"8x128": None, "1x128": None, "1x8": 0.75}),
    "recipe": ("recipe of MeZO", {"8x128": None, "1x128": None, "1x8": None}),
    "torchzero": ("torchzero, MeZO", {"1x128": None}),
}
PURE = {
    "signs": ("dense signs, pure torch", {"8x128": 1.10, "1x128": 1.55}),
    "rank one": ("rank one, one side after the other, pure torch", {"8x128": None, "1x128": None}),
}


def measure(examples: int, words: int, rounds: int, names: list[str]) -> dict[str, float]:
    """Each step's ratio on a batch, and the seconds of two forwards."""
    torch.set_num_threads(1)
    for name in names:  # what is loaded or compiled once is no step's time
        step_of(name, GPT(layers=1, vocabulary=64), torch.zeros(1, 8, dtype=torch.long))()
    model, batch = gpt(), tokens(examples, words)

    def two_forwards() -> None:
        with torch.no_grad():
            next_word(model, batch)
            next_word(model, batch)

    steps = {name: step_of(name, model, batch) for name in names}
    taken = in_turns({"two forwards": two_forwards} | steps, rounds)
    return {"two forwards": min(taken["two forwards"])} | {name: ratio(taken, name, "two forwards") for name in names}


def main() -> str:
    lines = []
    for rows, environment in ((ROWS, {}), (PURE, {"DESCEND_NOISE": "reference"})):
        for batch, how in BATCHES.items():
            limits = {name: (title, limits[batch]) for name, (title, limits) in rows.items() if batch in limits}
            if not limits:
                continue
            found = alone("speed", *how, list(limits), **environment)
            forwards = f"{1e3 * found['two forwards']:.0f} ms"
            for name, (title, most) in limits.items():
                target = NO_TARGET if most is None else Target(most=most)
                lines.append([title, batch, forwards, f"{found[name]:.3f}", *target.cells(found[name])])
    heads = ["step", "words", "two forwards", "step / two forwards", "target", "met"]
    return table("Time of a two-sided step, GPT of 98M parameters, one thread", heads, lines)
