"""Values by flat name in the shape of a point of their space, which is read from its JSON: no space is made of it.

As `descend.study.frame.Frame.point`, for those who only look.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from descend.study.plain import unplain

__all__ = ["shaped"]

Path = tuple[str, ...]


def shaped(held: Mapping[str, Any], space: Any) -> Any:
    """The point that plain values by flat name stand for.

    Args:
        held: the values.
        space: as `Leaf.to_plain` writes it, None where objectives define it.

    >>> from descend.space import Choice, Float, Space
    >>> space = Space(lr=Float(0, 1), opt=Space(kind=Choice("a", "b")))
    >>> shaped({"lr": 0.5, "opt.kind": "b"}, space.root.to_plain())
    {'lr': 0.5, 'opt': {'kind': 'b'}}
    """
    paths = {} if space is None else dict(_paths(space, ()))
    point: Any = {}
    for name, value in held.items():
        path = paths.get(name, (name,))
        if not path:  # the space is a single parameter
            return unplain(value)
        inner = point
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = unplain(value)
    return point


def _paths(node: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """The flat name of every parameter, and the keys that lead to it."""
    match node:
        case {"type": "When", "arguments": [_, _, inner]}:
            yield from _paths(inner, path)
        case {"type": "Space", "arguments": [{"dict": dict(nodes)}]}:
            for name, inner in nodes.items():
                yield from _paths(inner, (*path, name))
        case _:
            yield ".".join(path) or "x", path
