"""A search as a file: tensors, numbers and text, which are read without running code."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.population.base import AskTell, Search
from descend.run.named import from_text, to_text
from descend.run.outer import Outer, restored
from descend.tree import from_plain, to_plain

__all__ = ["Found", "read", "write"]

_FORMAT = "a search of descend, 1"


@dataclass(frozen=True, eq=False)
class Found:
    """What a file held: the method, what it searches, its key and state, and what was remembered around it."""

    method: AskTell[Any]
    outer: Outer
    key: Key
    state: Search
    memory: dict[str, Any]


def write(
    path: str | Path, method: AskTell[Any], outer: Outer, key: Key, state: Search, memory: dict[str, Any]
) -> None:
    """Write the file; it appears when it is complete."""
    try:
        name = to_text(method)
    except InvalidValue:  # somebody's own, who will have to give it again
        name = ""
    plain = {
        "format": _FORMAT,
        "method": name,
        "repr": repr(method),
        "outer": outer.plain(),
        "key": key.seed,
        "state": to_plain(state),
        "memory": {part: to_plain(value) for part, value in memory.items()},
    }
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        torch.save(plain, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: str | Path, method: AskTell[Any] | None = None) -> Found:
    """What `write` wrote.

    Raises:
        StateMismatch: the file is none of these, or of another method than the one that is given.
        InvalidValue: the method was somebody's own and is not given.
    """
    try:
        plain = torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise StateMismatch(f"{path} is not a saved search; AskTell.save writes one") from error
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise StateMismatch(f"{path} is not a saved search, or one of another version of descend")
    if method is None and not plain["method"]:
        raise InvalidValue(
            f"the method of {path} is not one of descend's: write AskTell.load(path, method={plain['repr']})"
        )
    if method is not None and repr(method) != plain["repr"]:
        raise StateMismatch(f"{path} was saved with {plain['repr']}, not with {method!r}")
    memory = {part: from_plain(value) for part, value in plain["memory"].items()}
    known = from_text(plain["method"]) if method is None else method
    return Found(known, restored(plain["outer"]), Key(plain["key"]), from_plain(plain["state"]), memory)
