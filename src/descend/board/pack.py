"""Data as compact JSON that is safe inside a page: numbers in a few digits, and every array of numbers once.

An array that occurs in several places, such as the values in each panel of a picture, is written once into a list
and is ``{"$": place}`` elsewhere; the page puts it back.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

__all__ = ["Packed", "compact", "embedded", "plain_scalar"]

_SMALL = 8  # numbers up to which an array stands where it is


class Packed:
    """A collector of arrays.

    Args:
        digits: of each number that is not whole.

    >>> packed = Packed()
    >>> x = np.arange(10.0)
    >>> packed.plain([x, x]), packed.arrays
    ([{'$': 0}, {'$': 0}], ['[0,1,2,3,4,5,6,7,8,9]'])
    """

    def __init__(self, digits: int = 5) -> None:
        self._digits = digits
        self._places: dict[str, int] = {}

    @property
    def arrays(self) -> list[str]:
        """Those that were met, each as JSON."""
        return list(self._places)

    def plain(self, data: Any) -> Any:
        """The data with arrays replaced by their places."""
        if isinstance(data, np.ndarray):
            text = _array(data, self._digits)
            if data.size <= _SMALL:
                return json.loads(text)
            return {"$": self._places.setdefault(text, len(self._places))}
        if isinstance(data, dict):
            return {key: self.plain(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.plain(value) for value in data]
        return plain_scalar(data)


def plain_scalar(value: Any) -> Any:
    """A scalar as JSON has it: what is not finite is None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(data: np.ndarray, digits: int) -> str:
    if data.ndim > 1:
        return "[" + ",".join(_array(row, digits) for row in data) + "]"
    return "[" + ",".join(_number(value, digits) for value in data.tolist()) + "]"


def _number(value: Any, digits: int) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return json.dumps(value)
    if not math.isfinite(value):
        return "null"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.{digits}g}"
    return text[:-4] + "e" + str(int(text[-3:])) if text[-4:-2] in ("e-", "e+") else text


def compact(data: Any) -> bytes:
    """Data with arrays as JSON, for an answer of a server."""
    packed = Packed()
    return _text(packed, packed.plain(data)).encode()


def embedded(data: Any, digits: int = 6) -> str:
    """Data with arrays as JSON that may stand inside an element of a page, whatever names are in it."""
    packed = Packed(digits)
    text = _text(packed, packed.plain(data))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _text(packed: Packed, plain: Any) -> str:
    body = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=str)
    body = body.encode("utf-8", "replace").decode()  # lone surrogates, which UTF-8 does not have
    return f'{{"arrays":[{",".join(packed.arrays)}],"data":{body}}}'
