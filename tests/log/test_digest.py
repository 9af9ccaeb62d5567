"""What a database says of all trials at once is what its rows say."""

from collections.abc import Callable

import pytest

from descend.log import Clock, Log, Memory
from descend.log.digest import answers, digest, row


@pytest.mark.parametrize("new_log", ["sqlite", "postgres"], indirect=True)
def test_a_digest_agrees_with_the_rows(new_log: Callable[[Clock], Log | Memory]) -> None:
    now = [1000.25]
    log = new_log(Clock(wall=lambda: now[0]))
    assert isinstance(log, Log)
    other = new_log(Clock())
    other.enqueue({"x": 1.0})  # is none of ours
    ends = {
        0: ("done", [2.0, 1.0]),
        1: ("failed", None),
        3: ("pruned", None),
        4: ("failed", None),
        2: ("done", [0.5, 3.0]),
    }
    for number in range(6):
        now[0] += 1
        log.ask(number, 0, {"x": float(number)}, "me", 30.0)
    for number, (state, values) in ends.items():
        now[0] += 1
        log.tell(number, "me", state, values, violations=[-1.0] if number == 2 else ())
    log.enqueue({"x": 9.0})
    rows, _ = log.sync()
    found = digest(log)
    assert found.counts == {"queued": 1, "running": 1, "done": 2, "pruned": 1, "failed": 2}
    assert list(found.counts) == ["queued", "running", "done", "pruned", "failed"]
    assert (found.failed, found.first, found.last, found.ended) == (4, 1001.25, 1011.25, 1011.25)
    assert answers(log) == [(r.number, r.values, r.violations) for r in sorted(rows) if r.state == "done"]
    assert answers(log)[1] == (2, (0.5, 3.0), (-1.0,))
    assert [row(log, r.number) for r in sorted(rows)] == sorted(rows)
