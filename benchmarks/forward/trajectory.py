"""What a run weighs on disk and on the wire, and how much quicker its replay is than its training."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from measure import table
from torch import nn

import descend as dd
from descend.parallel import Parallel
from descend.torch_optim.replay import replay
from forward.digits import digits, losses, network
from forward.networks import minilm
from forward.tools import Target, clock

STEPS = 1000
TRAINED = 50


def _size(samples: int, steps: int) -> int:
    """Bytes of the file of a run."""
    layer = nn.Linear(4, 1)
    optimizer = dd.Optimizer(layer, dd.SPSA(radius=1e-3, samples=samples), lr=1e-3, key=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.descend"
        with optimizer.record(path):
            for _ in range(steps):
                optimizer.step(lambda: layer(torch.ones(2, 4)).square().mean())
        return path.stat().st_size


def _per_probe(samples: int) -> float:
    """Bytes that a step adds to the file, a probe; a probe is a direction, evaluated on both sides."""
    return (_size(samples, 2 * STEPS) - _size(samples, STEPS)) / STEPS / samples


def _replay() -> tuple[float, bool]:
    """Seconds of training in those of its replay, on MiniLM with 8x32 words, and whether the weights are the same."""
    model, base = minilm(), minilm()
    words = torch.randint(1000, 20000, (8, 32), generator=torch.Generator().manual_seed(0))
    optimizer = dd.Optimizer(model, dd.SPSA(radius=1e-3), lr=1e-6, key=0)

    def loss() -> torch.Tensor:
        return model(input_ids=words).last_hidden_state.square().mean()

    optimizer.step(loss)
    base.load_state_dict(model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.descend"
        with optimizer.record(path):
            start = clock()
            for _ in range(TRAINED):
                optimizer.step(loss)
            training = clock() - start
        start = clock()
        replay(base, path)
        replaying = clock() - start
    same = all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), base.state_dict().values(), strict=True))
    return training / replaying, same


def measure() -> dict[str, float | str]:
    """One of two ranks: 1000 steps on digits; bytes sent for each of its own probes, and a hash of the weights."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    data, model = digits(), network(0)
    parallel = Parallel(probes=2)
    optimizer = dd.Optimizer(model, dd.SPSA(radius=1e-3, samples=8), lr=1e-3, key=0, parallel=parallel)
    batch = data.train[:32], data.train_labels[:32]
    for _ in range(STEPS):
        optimizer.step(lambda model, batch: losses(model, batch).mean(), batch)
    traffic = optimizer._base.team.traffic
    hashed = hashlib.sha256()
    for p in model.parameters():
        hashed.update(p.detach().numpy().tobytes())
    torch.distributed.destroy_process_group()
    probes = STEPS * 8 / 2
    return {"bytes": (traffic.sent + traffic.checks) / probes, "weights": hashed.hexdigest()}


def _two_processes() -> tuple[float, bool]:
    """The most bytes a probe that a rank sends, and whether both end with the same bits."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).parent.parent / "forward_only.py"
    call = [sys.executable, str(script), "--alone", "trajectory", "[]"]
    where = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(call, env={**where, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True) for rank in range(2)
    ]
    found = [json.loads(rank.communicate(timeout=300)[0].strip().splitlines()[-1]) for rank in ranks]
    return max(f["bytes"] for f in found), found[0]["weights"] == found[1]["weights"]


def main() -> str:
    torch.set_num_threads(1)
    rows = []
    for samples in (1, 16):
        size = _per_probe(samples)
        title = f"file, {samples} {'probe' if samples == 1 else 'probes'} a step"
        rows.append([title, f"{size:.1f} bytes a probe", *Target(most=12.0, unit=" bytes").cells(size)])
    faster, same = _replay()
    rows.append([f"replay of {TRAINED} steps of MiniLM, 8x32 words, in training's speed", f"{faster:.0f}",
                 *Target(least=10.0).cells(faster)])  # fmt: skip
    rows.append(["replayed weights are the same bits", str(same), "True", "yes" if same else "**no**"])
    sent, same = _two_processes()
    rows.append([f"two gloo processes, {STEPS} steps of 8 probes: values and hashes sent", f"{sent:.1f} bytes a probe",
                 *Target(most=16.0, unit=" bytes").cells(sent)])  # fmt: skip
    rows.append(["both end with the same bits", str(same), "True", "yes" if same else "**no**"])
    return table("Trajectories and data parallel", ["what", "measured", "target", "met"], rows)
