"""Arguments as text: for `repr`, which evaluates back, and for JSON, in which tuples and dicts are marked as such."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from descend.errors import InvalidValue

__all__ = ["from_plain", "identity", "to_plain", "written"]


@runtime_checkable
class _Writable(Protocol):
    def to_plain(self) -> dict[str, Any]: ...


def written(name: str, by_position: tuple[Any, ...], by_name: Mapping[str, Any]) -> str:
    """A call as it would be typed."""
    parts = [*map(repr, by_position), *(f"{key}={value!r}" for key, value in by_name.items())]
    return f"{name}({', '.join(parts)})"


def to_plain(value: Any) -> Any:
    """A value as data for JSON: a tuple becomes {"tuple": [...]}, a dict {"dict": {...}}, a parameter {"type": ...}.

    Raises:
        InvalidValue: JSON cannot hold it.
    """
    if isinstance(value, _Writable):
        return value.to_plain()
    if isinstance(value, tuple):
        return {"tuple": [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidValue(f"the keys of {value!r} must be text, to be written down as JSON")
        return {"dict": {key: to_plain(item) for key, item in value.items()}}
    if value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value)):
        return value
    raise InvalidValue(
        f"{value!r} cannot be written down as JSON, which holds text, finite numbers, True, False, None, and lists, "
        "tuples and dicts of these; name it by a text, and look the text up in the objective"
    )


def from_plain(plain: Any, kinds: Mapping[str, Callable[..., Any]]) -> Any:
    """The inverse of `to_plain`; kinds are the classes of parameters by name.

    Raises:
        InvalidValue: the data do not come from `to_plain`.
    """
    if isinstance(plain, list):
        return [from_plain(item, kinds) for item in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"tuple": [*items], **rest} if not rest:
            return tuple(from_plain(item, kinds) for item in items)
        case {"dict": dict(items), **rest} if not rest:
            return {key: from_plain(item, kinds) for key, item in items.items()}
        case {"type": str(name), **rest} if name in kinds:
            named = {key: from_plain(value, kinds) for key, value in rest.items()}
            by_position = named.pop("arguments", [])
            try:
                return kinds[name](*by_position, **named)
            except TypeError as error:
                raise InvalidValue(f"{name} in the JSON of a space has arguments it does not take: {error}") from None
        case {"type": name}:
            raise InvalidValue(f"the JSON of a space names the type {name!r}; there are {', '.join(sorted(kinds))}")
    raise InvalidValue(f"the JSON of a space holds {plain!r}, which is no parameter and no value")


def identity(value: Any) -> Any:
    """What two values that are written alike have in common, and others not: 1, 1.0 and True differ."""
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(identity, value))
    if isinstance(value, dict):
        return ("dict", *sorted((key, identity(item)) for key, item in value.items()))
    return type(value).__name__, value
