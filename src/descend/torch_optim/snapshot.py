"""The weights and the memory of a recorded run at one step, in a file beside it, so that a replay need not begin at 0.

The recorded run names the file by its digest: a snapshot that was cut short, altered or left by another run is not
used, and the replay begins at the start instead.
"""

import json
import os
from collections.abc import Iterable
from hashlib import blake2b, file_digest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from descend.layout import copy_all
from descend.torch_optim.trajectory import Tag, Trajectory

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["digest", "fingerprints", "latest", "load", "save"]


def fingerprints(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    """16 hexadecimal digits for each tensor, of the bytes of its elements in row-major order."""
    return tuple(blake2b(_bytes(p), digest_size=8).hexdigest() for p in tensors)


def digest(tensors: Iterable[Tensor]) -> bytes:
    """8 bytes for all of them."""
    return blake2b("".join(fingerprints(tensors)).encode(), digest_size=8).digest()


def _bytes(p: Tensor) -> Any:
    return p.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()


def save(optimizer: "Optimizer", path: str, fsync: bool) -> tuple[str, bytes]:
    """Write a snapshot to a temporary file; its name, and the JSON by which the recorded run will know it."""
    unfinished = f"{path}.snapshot.tmp"
    with open(unfinished, "wb") as file:
        torch.save({"parameters": optimizer.parameters.live(), "optimizer": optimizer.state_dict()}, file)
        if fsync:
            file.flush()
            os.fsync(file.fileno())
    mark = {"file": f"{os.path.basename(path)}.snapshot", "digest": _of_file(unfinished)}
    return unfinished, json.dumps(mark).encode()


def latest(trajectory: Trajectory, limit: int) -> int | None:
    """The number of steps taken at the snapshot that lies beside a recorded run, or None if none of its own does.

    Args:
        limit: steps taken at the most; a later snapshot is of no use.
    """
    beside = f"{trajectory.path}.snapshot"
    if not os.path.exists(beside):
        return None
    marks = {json.loads(e.payload)["digest"]: e.t for e in trajectory.events() if e.tag is Tag.SNAPSHOT}
    t = marks.get(_of_file(beside)) if marks else None
    return t if t is not None and t <= limit else None


def load(optimizer: "Optimizer", trajectory: Trajectory) -> None:
    """Bring parameters and optimizer to the snapshot beside a recorded run."""
    saved = torch.load(f"{trajectory.path}.snapshot", map_location=optimizer.parameters.device, weights_only=True)
    copy_all(optimizer.parameters.live(), saved["parameters"])
    optimizer.load_state_dict(saved["optimizer"])


def _of_file(path: str) -> str:
    with open(path, "rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
