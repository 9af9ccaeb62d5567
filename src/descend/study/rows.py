"""The rows of a log by number, each read from its text when somebody wants it.

A worker follows what all others do, and of most of it wants no more than that it happened: the parameters of a trial
are read by whoever looks at them, and then once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from descend.log.row import Row
from descend.log.text import rows as read
from descend.log.text import told

__all__ = ["Rows"]

_NOTHING = Row()


class Rows(Sequence[Row]):
    """Rows, or what the log has of them, see `descend.log.Log.unread`: both have the same fields in the same places.

    >>> rows = Rows([Row(number=0, values=(2.0,))])
    >>> rows.put(1, (1, "done", "added", None, '{"x":0.5}', 0, 1, "[1.5]", *(None,) * 5, 1, None, None, 2))
    >>> rows[1].params, rows.column("values")
    ({'x': 0.5}, [(2.0,), (1.5,)])
    """

    def __init__(self, rows: Iterable[Any] = ()) -> None:
        self._cells: list[list[Any]] = [[row] for row in rows]  # shared by copies, so that each is read once

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return _read(self._cells[index])
        cell = self._cells[index]
        if type(cell[0]) is not Row:
            (cell[0],) = read(cell)
        return cell[0]

    def __iter__(self) -> Iterator[Row]:
        return iter(_read(self._cells))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def put(self, number: int, row: Any) -> None:
        """Set a row, after as many empty ones as are missing before it."""
        if number == len(self._cells):
            self._cells.append([row])
            return
        while number >= len(self._cells):
            self._cells.append([_NOTHING])
        self._cells[number] = [row]

    def copy(self) -> "Rows":
        """The same rows, whatever is set later."""
        made = Rows()
        made._cells = self._cells.copy()
        return made

    def state(self, number: int) -> str:
        """The state of a trial."""
        return self._cells[number][0][_PLACES["state"]]

    def origin(self, number: int) -> str:
        """How a trial came to be."""
        return self._cells[number][0][_PLACES["origin"]]

    def column(self, field: str) -> list[Any]:
        """A field of all rows that is no mapping."""
        place = _PLACES[field]
        found = [cell[0][place] for cell in self._cells]
        if field in ("values", "violations"):
            texts = [at for at, value in enumerate(found) if isinstance(value, str)]
            for at, value in zip(texts, told([found[at] for at in texts]), strict=True):
                found[at] = value
        return found


_PLACES = {field: place for place, field in enumerate(Row._fields)}


def _read(cells: list[list[Any]]) -> list[Row]:
    new = [cell for cell in cells if type(cell[0]) is not Row]
    for cell, row in zip(new, read([cell[0] for cell in new]), strict=True):
        cell[0] = row
    return [cell[0] for cell in cells]
