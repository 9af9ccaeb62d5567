"""The noise kernels: one sweep p += scale * z over a long vector, in units of p.mul_(c), and the pure-torch reference.

Run: python benchmarks/kernels.py
"""

import torch
from measure import interleaved, table

from descend.noise import Law, add, reference


def main() -> str:
    torch.set_num_threads(1)
    p = torch.randn(10_000_000)
    z = torch.empty_like(p)
    calls = {"mul_": lambda: p.mul_(1.0), "randn": lambda: p.add_(torch.randn_like(z), alpha=1e-6)}
    for law in Law:
        calls[law.value] = lambda law=law: add(p, 7, law, 1e-6)
    calls["sign, reference"] = lambda: reference.add(p, 7, Law.SIGN, 1e-6, 0, 0)
    half = p.to(torch.bfloat16)
    calls["bfloat16 mul_"] = lambda: half.mul_(1.0)
    calls["bfloat16 sign"] = lambda: add(half, 7, Law.SIGN, 1e-6)
    seconds = interleaved(calls, rounds=15, budget=0.05)
    rows = [[name, seconds[name] / seconds["mul_"]] for name in calls if "bfloat16" not in name]
    rows.append(["bfloat16 sign, in bfloat16 mul_", seconds["bfloat16 sign"] / seconds["bfloat16 mul_"]])
    return table("Noise sweep over 10M float32, in units of p.mul_(c)", ["sweep", "ratio"], rows)


if __name__ == "__main__":
    main()
