"""Rows that are read from their text when somebody wants them."""

from pathlib import Path

import pytest

from descend.errors import InvalidValue
from descend.log import Log, Row, Store
from descend.log.text import rows as read
from descend.study import rows as module
from descend.study.rows import Rows


def filled(store: Store) -> Log:
    log = store.open("study", {})
    for number in range(6):
        log.ask(number, number, {"x": number / 7, "y": (1, "a")}, "me", 30.0, {"note": number} if number % 2 else None)
    for number in (0, 3, 4):
        params = {"x": 2.0} if number == 3 else None
        log.tell(number, "me", "done", [float("inf"), number], [0.5] if number else (), params)
    log.tell(1, "me", "failed", None, error="no")
    return log


def test_rows_read_one_by_one_are_those_read_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        log = filled(store)
        unread, version = log.unread()
        expected, newest = log.sync()
        assert version == newest == 10
        assert len(expected) == 6
        assert [read([one])[0] for one in unread] == expected == list(Rows(unread))
        lazy = Rows(unread)
        assert [lazy[place] for place in range(6)] == expected
        assert lazy[1:3] == expected[1:3]
        for field in ("number", "state", "values", "violations", "owner", "ended"):
            got = [value or None for value in Rows(unread).column(field)]
            assert got == [getattr(row, field) or None for row in expected]


def test_a_copy_stays_as_it_is_and_a_row_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(module, "read", lambda columns: counts.append(len(columns)) or read(columns))
    with Store(tmp_path / "a.db") as store:
        log = filled(store)
        rows = Rows()
        for one in sorted(log.unread()[0]):
            rows.put(one[0], one)
        copy = rows.copy()
        assert copy[2].state == "running"
        assert rows.state(2) == "running"
        assert sum(counts) == 1
        log.tell(2, "me", "done", [1.0, 2.0])
        rows.put(2, log.unread(10)[0][0])
        rows.put(8, Row(number=8))
        assert (rows.state(2), copy.state(2), len(rows), len(copy)) == ("done", "running", 9, 6)
        assert list(copy) != list(rows)[:6]
        assert rows[7] == Row()
        assert sum(counts) == 7  # six, and the one that was set anew


@pytest.mark.parametrize("text", ["{", "1 2", '{"x":1}],[{}'])
def test_a_damaged_row_is_a_sentence(tmp_path: Path, text: str) -> None:
    with Store(tmp_path / "a.db") as store:
        log = filled(store)
        store._database.run("UPDATE trials SET proposal = :text WHERE number = 5", {"text": text})
        rows = Rows(sorted(log.unread()[0]))
        assert rows[0].values == (float("inf"), 0.0)
        with pytest.raises(InvalidValue, match="the log is damaged"):
            _ = rows[5]
