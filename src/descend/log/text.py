"""Columns of text: plain values to JSON and back, exactly; NaN and the infinities as Python writes them.

Nothing read from a log is ever executed: there is no pickle, and JSON knows only plain values.
"""

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from typing import Any

from descend.errors import InvalidValue
from descend.log.row import FINISHED, Row

__all__ = ["changed", "decoded", "encoded", "numbers", "readable", "rows", "told", "uncollected"]

_read = json.JSONDecoder().raw_decode
_encode = json.JSONEncoder(separators=(",", ":")).encode
_encode_header = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def encoded(value: Mapping[str, Any] | None, what: str = "attributes", sort: bool = False) -> str | None:
    """A mapping of plain values as JSON; None stays None.

    Raises:
        InvalidValue: a value is not plain.
    """
    if value is None:
        return None
    try:
        return (_encode_header if sort else _encode)(value)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            f"{what} {value!r} cannot be written down ({error}); write numbers, text, True, False or None"
        ) from None


def numbers(values: Sequence[float] | None) -> str | None:
    """Floats as JSON; None stays None."""
    return None if values is None else _encode([float(value) for value in values])


def readable(text: str | None) -> str | None:
    """A text that every database takes: half characters and zero bytes are spelled out."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def decoded(texts: Sequence[str | None]) -> list[Any]:
    """What `encoded` made, all at once, which is much quicker than one by one; lists are tuples.

    Raises:
        InvalidValue: somebody else has made it.
    """
    found = _loaded(texts)
    for index, text in enumerate(texts):
        if text is not None and "[" in text:
            found[index] = _tuples(found[index])
    return found


def _loaded(texts: Sequence[str | None]) -> list[Any]:
    if not any(texts):
        return [None] * len(texts)
    columns = [text or "null" for text in texts]
    try:
        found: list[Any] = json.loads("[" + ",".join(columns) + "]")
    except (ValueError, RecursionError):
        found = []
    if len(found) != len(columns):
        raise InvalidValue(f"the log is damaged: {_first_bad(columns)[:80]!r} was not written by descend")
    return found


def told(texts: Sequence[str | None]) -> list[Any]:
    """What `numbers` made, as tuples.

    Raises:
        InvalidValue: somebody else has made it.
    """
    with uncollected():
        return [None if value is None else tuple(value) for value in _loaded(texts)]


def _first_bad(columns: Sequence[str]) -> str:
    for text in columns:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
    return columns[0]  # all are good, and together they are not: cannot be


def _tuples(value: Any) -> Any:
    match value:
        case list():
            return tuple(map(_tuples, value))
        case dict():
            return {name: _tuples(part) for name, part in value.items()}
    return value


def rows(columns: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows from the columns that `descend.log.statements.TRIAL` names."""
    if not columns:
        return []
    if len(columns) == 1:
        with suppress(ValueError, RecursionError):  # else it is damaged, as is said below
            return [_row(*columns[0])]
    with uncollected():
        return _rows(columns)


def _row(
    number: int, state: str, origin: str, proposal: str | None, params: str | None, after: int, place: int | None,
    values: str | None, violations: str | None, error: str | None, attributes: str | None, *rest: Any,
) -> Row:  # fmt: skip
    """One row, for which all at once would take longer."""
    proposed = _plain(proposal)
    used = _plain(params) if params is not None else (proposed or {}) if state in FINISHED else {}
    told = None if values is None else tuple(_value(values))
    violated = () if violations is None else tuple(_value(violations))
    noted = _plain(attributes) or {}
    return Row(number, state, origin, proposed, used, after, place, told, violated, error, noted, *rest)


def _plain(text: str | None) -> Any:
    if text is None:
        return None
    value = _value(text)
    return _tuples(value) if "[" in text else value


def _value(text: str) -> Any:
    """One value, in half the time of `json.loads`, which looks for spaces that we do not write."""
    value, end = _read(text)
    if end != len(text):
        raise ValueError("something stands behind it")
    return value


def _rows(columns: Sequence[Sequence[Any]]) -> list[Row]:
    (number, state, origin, proposal, params, after, place, values, violations, error, attributes, *rest) = zip(
        *columns, strict=True
    )
    proposals, used = decoded(proposal), decoded(params)
    for index, text in enumerate(params):
        if text is None:  # as proposed, or not known yet
            used[index] = (proposals[index] or {}) if state[index] in FINISHED else {}
    violated = [found or () for found in told(violations)]
    noted = [found or {} for found in decoded(attributes)]
    every = zip(
        number, state, origin, proposals, used, after, place, told(values), violated, error, noted, *rest, strict=True
    )
    return list(map(tuple.__new__, repeat(Row), every))  # Row(...) for each, without a step of Python


@contextmanager
def uncollected() -> Iterator[None]:
    """While open, Python's collector rests.

    It would look again and again through what is being made, which costs as much as making it.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def changed(columns: Sequence[Sequence[Any]]) -> Row:
    """The row that a changing statement returns; there, SQLite gives times without a fraction as integers."""
    row = rows(columns)[0]
    lease, began, ended = (None if time is None else float(time) for time in (row.lease, row.began, row.ended))
    return row._replace(lease=lease, began=began, ended=ended)
