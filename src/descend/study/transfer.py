"""What one study can take over from another: its best points, to be evaluated again, or its trials as they are."""

from collections.abc import Sequence

from descend.log import Log, Memory, Row
from descend.study.answers import point_of
from descend.study.frame import Frame

__all__ = ["add_trials", "queue_best"]


def queue_best(
    log: Log | Memory, frame: Frame | None, rows: Sequence[Row], signs: Sequence[float], name: str, most: int
) -> int:
    """Queue the best points of some trials; how many they are.

    Args:
        log, frame: of the study that takes them; frame None takes all.
        rows: the trials of the other study.
        signs, name: of the other study.
        most: how many at most.
    """
    done = [row for row in rows if row.state == "done" and row.values is not None]
    taken: set[str] = set()
    for row in sorted(
        done, key=lambda row: [sign * value for sign, value in zip(signs, row.values or (), strict=True)]
    ):
        if len(taken) < most and point_of(row.params) not in taken and _fits(frame, row):
            taken.add(point_of(row.params))
            log.enqueue(row.params, {"study": name, "trial": row.number})
    return len(taken)


def add_trials(log: Log | Memory, frame: Frame | None, rows: Sequence[Row], name: str) -> int:
    """Add some trials with their values; how many they are. Arguments as of `queue_best`."""
    fitting = [row for row in rows if row.state in ("done", "pruned") and row.values is not None and _fits(frame, row)]
    for row in fitting:
        log.add(row._replace(proposal=None, attributes={"study": name, "trial": row.number}))
    return len(fitting)


def _fits(frame: Frame | None, row: Row) -> bool:
    return frame is None or (set(row.params) <= set(frame.leaves) and not frame.space.check(frame.point(row.params)))
