"""From memory into a file, when other processes are to take part: everything is told again in its order."""

from descend.log import Log, Memory, Row
from descend.log.owner import here

__all__ = ["moved"]

_LEASE = 30.0


def moved(old: Memory, new: Log) -> None:
    """Tell an empty log all that another one holds. Trials that are under way there are queued here.

    Numbers, answers and their order, definitions, reports and attributes are the same; times are those of the move.
    """
    owner = here()
    rows = sorted(old.sync(0)[0], key=lambda row: row.number)
    answers = sorted((row for row in rows if row.place is not None), key=lambda row: row.place or 0)
    told = 0

    def tell_up_to(place: int) -> None:
        nonlocal told
        while told < place:
            _tell(new, answers[told], owner)
            told += 1

    for row in rows:
        if row.origin == "asked":
            new.ask(row.number, row.after, row.proposal, owner, _LEASE, row.attributes or None)
        elif row.origin == "added":
            tell_up_to(row.place or 0)
            new.add(row)
            told += 1
        else:
            new.enqueue(row.proposal or {}, row.attributes)
    for row in rows:
        if row.origin == "queued":
            new.claim(owner, _LEASE)
    tell_up_to(len(answers))
    for row in rows:
        if row.place is None:
            new.release(row.number, owner)
    for number, step, values, _ in old.reports(0)[0]:
        new.report(number, step, values)
    for name, leaf in old.definitions():
        new.define(name, leaf)
    new.set_attributes(old.attributes())


def _tell(log: Log, row: Row, owner: str) -> None:
    log.tell(row.number, owner, row.state, row.values, row.violations, row.params, row.error, row.attributes or None)
