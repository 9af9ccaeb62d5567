"""Answers that are on the disk when they are acknowledged, while nobody waits for them but who told them."""

from pathlib import Path

import pytest

from descend.errors import StoreFailed
from descend.log import Row, Store, _sqlite


@pytest.mark.parametrize("attributes", [None, {"a": 1}])
def test_only_an_answer_is_waited_for_and_others_write_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, int] | None
) -> None:
    waits: list[str] = []
    path = tmp_path / "a.db"
    with Store(path, durability="power") as store, Store(path) as other:
        log, theirs = store.open("study", {}), other.open("study", {})

        def wait(file: int) -> None:
            (row,) = theirs.sync(0)[0][-1:]  # it is committed, and the file is free
            waits.append(row.state)
            theirs.enqueue({"x": 1})

        monkeypatch.setattr(_sqlite, "_wait_for_disk", wait)
        with log.turn():
            log.ask(0, 0, {"x": 0}, "me", 30.0)
        log.report(0, 1, [1.0])
        log.renew("me", 30.0)
        assert waits == []
        log.tell(0, "me", "done", [1.0], attributes=attributes)
        assert waits == ["done"]
        log.add(Row(params={"x": 2}, values=(1.0,)))
        assert waits == ["done", "done"]
        with pytest.raises(ZeroDivisionError), log.turn():  # noqa: PT012
            log.add(Row(params={"x": 2}, values=(1.0,)))
            raise ZeroDivisionError
        with log.turn():
            log.enqueue({"x": 3})
        theirs.tell(theirs.claim("me", 30.0).number, "me", "done", [2.0])  # type: ignore[union-attr]
        assert len(waits) == 2


def test_a_disk_that_does_not_confirm_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(file: int) -> None:
        raise OSError(5, "Input/output error")

    with Store(tmp_path / "a.db", durability="power") as store:
        log = store.open("study", {})
        log.ask(0, 0, {}, "me", 30.0)
        monkeypatch.setattr(_sqlite, "_wait_for_disk", wait)
        with pytest.raises(StoreFailed, match="Input/output error"):
            log.tell(0, "me", "done", [1.0])
