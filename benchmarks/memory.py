"""Peak memory of a step above what was resident before it, as a multiple of the parameters; a process per row.

Run: python benchmarks/memory.py
"""

import sys

import torch
from measure import PeakMemory, in_process, table
from torch import nn

ROWS = {
    # name: (layers of 2500 x 2500 or so, how to make the optimizer of descend, of torchzero)
    "SPSA, 50M parameters": (8, "dd.SPSA(1e-3)", "tz.m.SPSA(h=1e-3)"),
    "MeZO, 50M parameters": (8, "dd.MeZO(1e-3)", "tz.m.MeZO(h=1e-3)"),
    "Gaussian smoothing, 100 samples, 8M": (
        8, "dd.GaussianSmoothing(1e-3, 100)", "tz.m.GaussianSmoothing(h=1e-3, n_samples=100)"
    ),
    "Adam with backpropagation, 50M": (8, "dd.Adam()", "tz.m.Adam()"),
}  # fmt: skip


def one(row: str, who: str) -> None:
    """Measure one row in this process and print its multiple."""
    torch.set_num_threads(1)
    layers, ours, theirs = ROWS[row]
    width = 1000 if "8M" in row else 2500
    backward = "Adam" in row
    model = nn.Sequential(*[nn.Linear(width, width) for _ in range(layers)])
    inputs = torch.randn(8, width)

    def closure(backward: bool = "Adam" in row):
        loss = model(inputs).square().mean()
        if backward:
            loss.backward()
        return loss

    params = list(model.parameters())
    size = sum(p.numel() * p.element_size() for p in params)
    with torch.set_grad_enabled(backward):
        model(inputs).square().mean()
    if who == "descend":
        import descend as dd
        from descend.noise import Law, fill

        fill(torch.empty(8), 0, Law.SIGN)  # loading the compiled kernels takes 0.1 GB that is no step's
        small = nn.Linear(8, 8)
        warm = dd.Optimizer(small, eval(ours), lr=1e-6, key=0)
        warm.step(lambda: small(torch.ones(8)).sum())
        optimizer = dd.Optimizer(params, eval(ours), lr=1e-6, key=0)
    elif who == "torchzero":
        import torchzero as tz

        optimizer = tz.Optimizer(params, eval(theirs), tz.m.LR(1e-6))
    else:
        optimizer = torch.optim.Adam(params, lr=1e-6, foreach=True)
    with PeakMemory() as memory:
        for _ in range(2):
            if backward:
                optimizer.zero_grad()
            optimizer.step(closure)
    print(memory.extra / size, memory.held / size)


def main() -> str:
    rows = []
    for row in ROWS:
        whos = ["descend", "torchzero", *(["torch"] if "Adam" in row else [])]
        found = {who: [float(v) for v in in_process(__file__, row, who).split()] for who in whos}
        torchs = found["torch"][0] if "torch" in found else ""
        rows.append(
            [row, found["descend"][0], found["torchzero"][0], torchs, found["descend"][1], found["torchzero"][1]]
        )
    heads = ["what", "descend, peak", "torchzero, peak", "torch, peak", "descend, held after", "torchzero, held after"]
    return table("Peak extra memory in multiples of the parameters", heads, rows)


if __name__ == "__main__":
    one(*sys.argv[1:]) if len(sys.argv) > 1 else main()
