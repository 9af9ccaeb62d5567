"""The optimizer's state in torch's layout: {"state": {parameter index: {...}}, "param_groups": [...]}."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from descend.errors import StateMismatch
from descend.layout import Layout

__all__ = ["check_groups", "pack", "unpack"]


def pack(rest: dict[str, Any], layout: Layout) -> dict[int, dict[str, Any]]:
    """State in torch's layout: (d,) tensors cut up per parameter, everything else under parameter 0's "descend"."""
    packed: dict[int, dict[str, Any]] = {i: {} for i in range(len(layout.names))}

    def take(plain: Any) -> Any:
        if isinstance(plain, Tensor) and plain.shape == (layout.size,) and layout.size > 1:
            name = f"memory{len(packed[0])}"
            for i, piece in enumerate(layout.unflatten(plain)):
                packed[i][name] = piece.clone()
            return {"memory": name}
        if isinstance(plain, dict):
            return {key: take(value) for key, value in plain.items()}
        return [take(value) for value in plain] if isinstance(plain, list) else plain

    rest = take(rest)
    packed[0]["descend"] = rest
    return packed


def unpack(packed: Mapping[int, Mapping[str, Any]], layout: Layout) -> dict[str, Any]:
    """The inverse of `pack`."""
    if 0 not in packed or "descend" not in packed[0]:
        raise StateMismatch("the state was not saved by descend's Optimizer: it has no 'descend' entry")

    def give(plain: Any) -> Any:
        if isinstance(plain, dict) and set(plain) == {"memory"}:
            pieces = [packed[i][plain["memory"]] for i in range(len(layout.names))]
            if [tuple(p.shape) for p in pieces] != list(layout.shapes):
                raise StateMismatch(
                    f"saved for parameters of shapes {[tuple(p.shape) for p in pieces]}, "
                    f"these have {list(layout.shapes)}"
                )
            return torch.cat([p.reshape(-1) for p in pieces])
        if isinstance(plain, dict):
            return {key: give(value) for key, value in plain.items()}
        return [give(value) for value in plain] if isinstance(plain, list) else plain

    return give(packed[0]["descend"])


def check_groups(saved: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> None:
    """Raise `StateMismatch` unless the saved state has the same groups with as many parameters."""
    if not {"state", "param_groups"} <= set(saved):
        raise StateMismatch(f"a state_dict has the keys 'state' and 'param_groups', got {sorted(saved)}")
    theirs = [len(group["params"]) for group in saved["param_groups"]]
    ours = [len(group["params"]) for group in groups]
    if theirs != ours:
        raise StateMismatch(f"the saved state has groups of {theirs} parameters, this optimizer has {ours}")
