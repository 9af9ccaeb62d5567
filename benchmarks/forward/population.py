"""32 members of rank one as a fraction of plain batched inference over as many rows; every parameter is perturbed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from measure import table
from torch import Tensor, nn
from torch.func import functional_call, vmap

from forward.networks import minilm, stack
from forward.tools import Target, alone, in_turns, peak, ratio

MEMBERS = 32
MB = 2**20
CASES = {
    "MiniLM, 4x32 words a member": ("minilm", 4, 5),
    "MiniLM, 2x32 words a member": ("minilm", 2, 7),
    "8 linear layers of 1024, 8 rows a member": ("1024", 8, 31),
    "8 linear layers of 512, 8 rows a member": ("512", 8, 31),
}
COLUMNS = ("probe", "step", "one by one", "vmap of weights", "EvoX")


@dataclass
class Case:
    """A model, a member's batch, its losses per example, and the batch repeated for all members."""

    model: nn.Module
    batch: Tensor
    loss: Callable[[nn.Module, Tensor], Tensor]

    @property
    def wide(self) -> Tensor:
        return self.batch.repeat(MEMBERS, 1)


def _case(name: str, rows: int) -> Case:
    torch.manual_seed(0)
    if name == "minilm":
        words = torch.randint(1000, 20000, (rows, 32))
        return Case(minilm(), words, lambda model, ids: model(input_ids=ids).last_hidden_state.square().mean((1, 2)))
    return Case(stack(int(name)), torch.randn(rows, int(name)), lambda model, x: model(x).square().mean(1))


def _ours(case: Case) -> dict[str, Callable[[], object]]:
    """Evaluating the members, and a whole step with its update."""
    import descend as dd
    from forward.asking import asking

    estimator = dd.Evolution(pairs=MEMBERS // 2, rank=1, radius=1e-3)
    probe = asking(case.model, lambda: case.loss(case.model, case.batch), estimator)
    optimizer = dd.Optimizer(case.model, estimator, lr=1e-9, key=0)
    return {"probe": probe, "step": lambda: optimizer.step(case.loss, case.batch)}


def _one_by_one(case: Case) -> Callable[[], object]:
    """Each member's weights made in place and put back, which is what most trainers do."""
    from descend.noise import Law, add

    def run() -> None:
        with torch.no_grad():
            for member in range(MEMBERS):
                for sign in (1e-3, -1e-3):
                    for i, p in enumerate(case.model.parameters()):
                        add(p.view(-1), i, Law.SIGN, sign, member=member)
                    if sign > 0:
                        case.loss(case.model, case.batch)

    return run


def _materialised(case: Case) -> Callable[[], object]:
    """All members' weights held at once and mapped over by torch."""
    with torch.no_grad():
        weights = {n: p.expand(MEMBERS, *p.shape).clone() for n, p in case.model.named_parameters()}

    def member(own: dict[str, Tensor]) -> Tensor:
        return case.loss(lambda *args, **named: functional_call(case.model, own, args, named), case.batch)  # type: ignore[arg-type]

    def run() -> None:
        with torch.no_grad():
            vmap(member, randomness="same")(weights)

    return run


def _evox(case: Case) -> Callable[[], object]:
    from forward.peers import EvoX

    assert isinstance(case.model, nn.Sequential)
    labels = torch.zeros(len(case.batch), dtype=torch.long)
    return EvoX(case.model, case.batch, labels, MEMBERS, sigma=1e-3, lr=1e-9, batch=len(case.batch)).step


def measure(what: str, name: str, rows: int, rounds: int, threads: int) -> dict[str, float]:
    """Plain batched inference's seconds over those of each way, or bytes above it."""
    torch.set_num_threads(threads)
    case = _case(name, rows)
    wide = case.wide

    def plain() -> None:
        with torch.no_grad():
            case.loss(case.model, wide)

    plain()
    if what == "memory":
        for p in case.model.parameters():
            p.sum()  # a table's rows that no forward has read yet are no step's memory
        few = _ours(_case("512", 1))
        few["step"]()  # what is loaded once is no step's memory
        bare = min(peak(plain) for _ in range(2))
        step = _ours(case)["step"]
        return {"extra": peak(lambda: [step() for _ in range(2)]) - bare}
    calls = {"plain": plain} | _ours(case)
    others: dict[str, Callable[[], object]] = {}
    if threads == 1:
        others["one by one"] = _one_by_one(case)
        others["vmap of weights"] = _materialised(case)
        if isinstance(case.model, nn.Sequential):
            others["EvoX"] = _evox(case)
    taken = in_turns(calls, rounds)
    slow = in_turns({"plain": plain} | others, max(2, rounds // 5))
    found = {way: ratio(taken, "plain", way) for way in calls} | {way: ratio(slow, "plain", way) for way in others}
    return {"seconds": min(taken["plain"])} | found


def _factors(model: nn.Module) -> float:
    """Bytes of all members' factors: rows + columns of every matrix."""
    return 4 * MEMBERS * sum(p.shape[0] + p[0].numel() if p.dim() > 1 else p.numel() for p in model.parameters())


def main() -> str:
    target, lines, memory = Target(least=0.95), [], []
    for threads in (1, 2):
        for title, case in CASES.items():
            found = alone("population", "time", *case, threads, OMP_NUM_THREADS=str(threads))
            cells = [f"{found[way]:.2f}" if way in found else "" for way in COLUMNS]
            seconds = f"{1e3 * found['seconds']:.0f} ms"
            lines.append([title, threads, seconds, *cells, *target.cells(found["probe"])])
    for title, (name, rows, rounds) in CASES.items():
        extra = alone("population", "memory", name, rows, rounds, 1)["extra"] / MB
        limit = max(32.0, round(_factors(_case(name, rows).model) / MB))
        memory.append([title, f"{extra:.0f} MB", *Target(most=limit, unit=" MB").cells(extra)])
    heads = ["model", "threads", "plain", "members", "whole step", *COLUMNS[2:], "target for the members", "met"]
    text = table(f"{MEMBERS} members of rank one, throughput in units of plain batched inference", heads, lines)
    heads = ["model", "above plain batched inference", "target", "met"]
    return text + "\n" + table(f"Memory of a step with {MEMBERS} members", heads, memory)
