"""Tables for other programs, read back by those programs."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pandas
import pytest
from pyarrow import parquet

from descend.log import Row, Store, statements
from descend.log.export import frame, records, to_csv, to_json, to_parquet
from descend.log.memory import Memory


def some() -> list[Row]:
    log = Memory()
    log.ask(0, 0, {"lr": 0.1, "kind": "x", "mixed": 1}, "me", 30.0, {"note": 'say "no", then; é\n'})
    log.tell(0, "me", "done", [0.1 + 0.2], [0.5])
    log.ask(1, 0, {"lr": 1e-300, "n": 3, "mixed": "one"}, "me", 30.0)
    log.tell(1, "me", "failed", None, error="Traceback:\n  no")
    log.enqueue({"lr": 2.0})
    log.add(Row(params={"lr": math.inf, "list": (1, "a"), "flag": True}, values=(math.nan,)))
    return log.sync()[0][::-1]


def test_every_trial_has_the_same_columns_in_the_order_of_numbers() -> None:
    found = records(some())
    assert [trial["number"] for trial in found] == [0, 1, 2, 3]
    assert len({tuple(trial) for trial in found}) == 1
    assert list(found[0]) == [
        *("number", "state", "origin", "value", "violation 0"),
        *("params.lr", "params.kind", "params.mixed", "attributes.note", "params.n", "params.list", "params.flag"),
        *("error", "owner", "attempts", "began", "ended"),
    ]
    assert (found[2]["params.lr"], found[2]["value"], found[2]["params.n"]) == (2.0, None, None)
    assert records([]) == []
    assert records([Row(values=(1.0, 2.0))])[0]["value 1"] == 2.0


def test_csv(tmp_path: Path) -> None:
    to_csv(some(), tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        first, second, _, fourth = list(csv.DictReader(file))
    assert float(first["value"]) == 0.1 + 0.2
    assert first["attributes.note"] == 'say "no", then; é\n'
    assert (second["value"], second["error"], second["params.lr"]) == ("", "Traceback:\n  no", "1e-300")
    assert (fourth["value"], fourth["params.lr"], fourth["params.list"]) == ("nan", "inf", '[1, "a"]')
    to_csv([], tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text().strip() == "number"


def test_json_is_json(tmp_path: Path) -> None:
    to_json(some(), tmp_path / "t.json")
    found = json.loads((tmp_path / "t.json").read_text(), parse_constant=lambda word: 1 / 0)
    assert found[0]["values"] == [0.1 + 0.2]
    assert (found[3]["values"], found[3]["params"]["lr"]) == (["nan"], "inf")
    assert found[0]["place"] == 0


def test_parquet_and_pandas(tmp_path: Path) -> None:
    to_parquet(some(), tmp_path / "t.parquet")
    read = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert read["params.lr"] == [0.1, 1e-300, 2.0, math.inf]
    assert read["params.mixed"] == ["1", '"one"', None, None]
    assert read["params.n"] == [None, 3, None, None]
    assert read["params.kind"] == ["x", None, None, None]
    assert read["params.flag"] == [None, None, None, True]
    assert read["state"] == ["done", "failed", "queued", "done"]
    table = frame(some())
    assert isinstance(table, pandas.DataFrame)
    assert table.loc[0, "value"] == 0.1 + 0.2
    assert list(table.index) == [0, 1, 2, 3]
    assert len(frame([])) == 0
    to_parquet([], tmp_path / "empty.parquet")


def test_a_copy_shows_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although somebody writes between two of its tables."""

    class Interrupted(dict[str, str]):
        def items(self) -> Any:
            for item in super().items():
                yield item
                with Store(tmp_path / "a.db") as writer:
                    writer.open("first").report(writer.open("first").enqueue({}), 0, [1.0])

    with Store(tmp_path / "a.db") as a, Store(tmp_path / "b.db") as b:
        log = a.open("first", {})
        log.enqueue({})
        monkeypatch.setattr(statements, "COPIED", Interrupted(statements.COPIED))
        copy = a.copy("first", b)
        assert len(copy.sync()[0]) == 1
        assert copy.reports()[0] == []
        assert len(log.reports()[0]) == 3


def test_a_study_is_copied_whole(tmp_path: Path, server: str) -> None:
    with Store(tmp_path / "a.db") as a, Store(tmp_path / "b.db") as b, Store(server) as c:
        log = a.open("first", {"a": [1, {"b": None}]})
        log.set_attributes({"x": 1})
        log.define("lr", "{}")
        for number in range(20):
            log.ask(number, number, {"lr": 0.1 * number}, "me", 30.0, {"n": number})
            log.report(number, 3, [0.5])
            if number % 3:
                log.tell(number, "me", "done" if number % 2 else "failed", [math.nan], [1.0], {"lr": 0.0}, "why")
        for copy in (
            a.copy("first", b),
            b.copy("first", c, "over there"),
            c.copy("over there", a, "back"),
            a.copy("back", a, "twice"),
        ):
            assert repr(copy.sync()) == repr(log.sync())
            assert copy.reports() == log.reports()
            assert copy.definitions() == log.definitions()
            assert (copy.attributes(), copy.header) == (log.attributes(), log.header)
            assert copy.workers() == log.workers()
        assert a.names() == ["first", "back", "twice"]
        a.open("twice").tell(0, "me", "done", [1.0])
        assert a.open("first").sync() != a.open("twice").sync()
