"""Who asks next what: the method of a study, driven by the log and by nothing else.

A trial's proposal is a function of the study's key, of its number, and of the answers that counted when it was asked
for, which the log has written down. So whoever opens a log, and however many work on it at once, comes to the same
proposals. A method that has a state is asked again what it was asked, and the log is compared with what it says.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from descend.errors import StateMismatch
from descend.key import Key
from descend.log.row import Row
from descend.log.text import encoded
from descend.space import Leaf, Space
from descend.study.answers import point_of
from descend.study.discovered import Discovered
from descend.study.frame import Frame
from descend.study.mirror import Mirror
from descend.study.plain import unplain
from descend.study.search import Exhausted, Search, search_of

__all__ = ["FIXED", "Engine"]

FIXED = ".fixed"
"""The attribute of a trial that holds the values that its user gave."""

_AGAIN = 20
"""Points of the method that may be refused in a row, before others are drawn at random."""

_DRAWN = 1000
"""Points that are drawn at random, before there are taken to be no others."""

_FAR = 2**62

Params = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Position:
    """Where the study stands before a trial is asked for.

    Fields: found, what the first `known` answers say about the space; frame, None while there is nothing to search;
    search and stand, the method at work.
    """

    found: Discovered
    known: int
    frame: Frame | None
    search: Search | None
    stand: Any


class Engine:
    """The next question of a study.

    Args:
        mirror: of its log, kept up to date by the caller.
        method: any that asks for values.
        key: of the study.
        space: what is searched; None discovers it from the trials.
        constraints: how many violations a trial has.
        repeats: "allow" evaluates a point again if the method asks for it, "avoid" does not, and "average" tells the
            method the mean of what was found there.
        batch: so many trials are asked for on the same answers, those of the batches before; None, on all there are.
    """

    def __init__(
        self, mirror: Mirror, method: Any, key: Key, space: Space | None, *, constraints: int = 0,
        repeats: str = "allow", batch: int | None = None,
    ) -> None:  # fmt: skip
        self._mirror, self._method, self._key = mirror, method, key
        self._constraints, self._repeats, self._batch = constraints, repeats, batch
        self._next = 0
        self._checked = False  # whether what the log held at first was compared with what the method says
        self._done = 0  # all trials before this one have ended
        frame = None if space is None else Frame(space)
        search = None if frame is None else self._search(frame, 0)
        stand = None if search is None else search.begin()
        self._discovers = space is None
        self._at = _Position(Discovered({}, {}, frozenset()), 0, frame, search, stand)
        self._ahead: tuple[int, int, Params | None, _Position] | None = None
        self._foreseen: dict[int, tuple[dict[str, Any], str]] = {}
        self._proposed: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._counted = [0, 0]

    def frame_at(self, after: int) -> Frame | None:
        """The space as it is known after so many answers."""
        return self._framed(self._at, self._next, after).frame

    def after(self, number: int) -> int | None:
        """On how many answers the question of a trial depends; None if they are not all there."""
        if self._batch is None:
            return len(self._mirror.order)
        first = number // self._batch * self._batch
        while self._done < first and self._mirror.finished(self._done):
            self._done += 1
        return first if self._done >= first else None

    def propose(self, number: int, after: int, fixed: Params | None = None) -> dict[str, Any] | None:
        """The flat point of the next trial; None if nothing is known of the space.

        Args:
            number: of the trial; all before it are in the mirror.
            after: as `after` says.
            fixed: values that are given.

        Raises:
            Exhausted: there is nothing left to ask.
            StateMismatch: the log was made by another method, key or space.
        """
        self._catch_up(number)
        proposal, position = self._asked(self._at, number, after, fixed)
        self._ahead = number, after, proposal, position
        return proposal

    def foreseen(self, most: int) -> tuple[int, list[tuple[dict[str, Any], str]]]:
        """The number of the next trial, and the points of this one and of those after it, each with its text.

        There are points, at most so many, where they depend on nothing but how many were asked before; else none.
        """
        search, count = self._at.search, self._at.stand
        if search is None or not self._counts or self._batch is not None:
            return self._next, []
        known, self._foreseen = self._foreseen, {}
        with suppress(Exhausted):
            for k in range(count, count + most):
                self._foreseen[k] = known.get(k) or _written(search.step(k, -1, 0, 0)[1])
        return self._next, list(self._foreseen.values())

    @property
    def _counts(self) -> bool:
        """Whether a question depends on nothing but how many were asked before."""
        frame, search = self._at.frame, self._at.search
        if self._discovers or frame is None or search is None or not search.counted:
            return False
        return self._repeats != "avoid" and not frame.space.conditions

    def took(self, number: int) -> None:
        """A trial was asked for where it was foreseen, as were those before it that the mirror does not have yet."""
        self._at = replace(self._at, stand=self._at.stand + number + 1 - self._next)
        self._next = number + 1

    def asked(self, number: int) -> None:
        """The log has taken what was proposed last for this trial, if it was this one."""
        if self._ahead is not None and self._ahead[0] == number == self._next:
            self._at, self._next, self._ahead = self._ahead[3], number + 1, None

    def _catch_up(self, number: int) -> None:
        """Ask again what was asked, up to a trial."""
        if self._checked and self._counts:  # others have asked meanwhile, who compare as we do
            origins = map(self._mirror.rows.origin, range(self._next, number))
            self._at = replace(self._at, stand=self._at.stand + sum(origin == "asked" for origin in origins))
            self._next = max(self._next, number)
        while self._next < number:
            n, self._next = self._next, self._next + 1
            if self._at.search is not None and self._at.search.recalled and not self._discovers:
                self._next = number
                return
            if self._mirror.rows.origin(n) != "asked":
                continue
            row = self._mirror.rows[n]
            ahead, self._ahead = self._ahead, None
            if ahead is not None and ahead[0] == n and ahead[1] == row.after and ahead[2] == row.proposal:
                self._at = ahead[3]
                continue
            if row.proposal is None and self._discovers:
                continue
            self._replay(n)
        self._checked = True

    def _replay(self, number: int) -> None:
        row = self._mirror.rows[number]
        position = self._framed(self._at, number, row.after)
        if position.search is not None and position.search.recalled:
            self._at = position
            return
        try:
            proposal, self._at = self._asked(position, number, row.after, row.attributes.get(FIXED))
        except Exhausted as reason:
            proposal = f"nothing, since {reason}"
        if proposal != row.proposal:
            raise StateMismatch(
                f"the study does not belong to this search: trial {number} was made at {_shown(row.proposal)}, and now "
                f"{_shown(proposal)} is asked for; another version of descend or of the method may have made it, so "
                "give the study another name"
            )

    def _asked(
        self, position: _Position, number: int, after: int, fixed: Params | None
    ) -> tuple[dict[str, Any] | None, _Position]:
        """What a trial is to be at, and where the study stands then."""
        position = self._framed(position, number, after)
        frame, search, stand = position.frame, position.search, position.stand
        if frame is None or search is None:
            return (dict(fixed) if fixed else None), position
        for turn in range(_AGAIN):
            stand, params = search.step(stand, number, after, turn)
            if fixed:
                params = self._fixed(frame, params, fixed, self._key.fold("trial", number))
            loss = self._refused(frame, params, number, after)
            if loss is _FINE:
                return params, _Position(position.found, position.known, frame, search, stand)
            stand = search.refuse(stand, number, loss)
        key = self._key.fold("trial", number).fold("instead")
        for block in range(0, _DRAWN, 100):
            for params in frame.decode(frame.domain.uniform(100, key.fold(block), frame.start)):
                params = self._fixed(frame, params, fixed, key.fold(block)) if fixed else params
                if self._refused(frame, params, number, after) is _FINE:
                    return params, _Position(position.found, position.known, frame, search, stand)
        raise Exhausted(
            f"none of {_DRAWN} random points keeps the conditions of the space and was not evaluated before"
            if self._repeats == "avoid"
            else f"none of {_DRAWN} random points keeps the conditions of the space"
        )

    def _fixed(self, frame: Frame, params: Params, fixed: Params, key: Key) -> dict[str, Any]:
        """A flat dict with some values given; what a discovered space does not know of may be there all the same."""
        if self._discovers:
            return {**params, **fixed}
        return frame.completed(fixed, key, torch.from_numpy(frame.encode(params)))

    def _framed(self, position: _Position, number: int, after: int) -> _Position:
        """The same with the space that is known after so many answers; the method begins anew if it has changed."""
        if not self._discovers or after <= position.known:
            return position
        mirror, found = self._mirror, position.found
        leaves = mirror.definitions.leaves(mirror.needed(after))
        new = _used([mirror.rows[n] for n in mirror.answers[position.known : after]], leaves)
        if all(found.explains(leaves, params) for params in new):  # the usual case, without the slower replace()
            return _Position(found, after, position.frame, position.search, position.stand)
        whole = _used([mirror.rows[n] for n in mirror.answers[:after]], leaves)
        found = Discovered.of(leaves, whole)
        if found.space is None:
            return replace(position, found=found, known=after)
        if position.frame is not None and found.space == position.frame.space:
            return replace(position, found=found, known=after)
        frame = Frame(found.space)
        search = self._search(frame, number)
        return _Position(found, after, frame, search, search.begin())

    def _search(self, frame: Frame, begun: int) -> Search:
        average = self._repeats == "average"
        return search_of(self._method, self._mirror, frame, self._key, self._constraints, average, begun)

    def _refused(self, frame: Frame, params: dict[str, Any], number: int, after: int) -> Any:
        """Why a point is not taken: `_FINE` if it is; else its loss, NaN if it breaks a condition, None if it is not
        known yet."""
        if frame.space.conditions and not all(meets(frame.point(params)) for meets in frame.space.conditions):
            return math.nan
        if self._repeats != "avoid":
            return _FINE
        mirror = self._mirror
        for n in range(self._counted[0], number):
            self._proposed.setdefault(point_of(mirror.rows[n].proposal or {}), n)
        for place in range(self._counted[1], after):
            self._used.setdefault(point_of(mirror.rows[mirror.answers[place]].params), place)
        self._counted = [max(self._counted[0], number), max(self._counted[1], after)]
        point = point_of(params)
        place = self._used.get(point, _FAR)
        if place < after:
            values = mirror.rows[mirror.answers[place]].values
            return math.nan if values is None else mirror.losses(values)[0]
        return None if self._proposed.get(point, _FAR) < number else _FINE


_FINE = object()


def _written(point: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return point, encoded(point, "the proposal") or ""


def _used(rows: Sequence[Row], leaves: Mapping[str, Leaf]) -> list[Params]:
    """What trials say about parameters: those that came to their end, and of those that were made elsewhere as much as
    the definitions allow."""
    return [
        row.params
        if row.origin != "added"
        else {name: v for name, v in row.params.items() if name in leaves and not leaves[name].wrong(unplain(v), name)}
        for row in rows
        if row.state != "failed"
    ]


def _shown(params: Any) -> str:
    return str(dict(params)) if isinstance(params, Mapping) else str(params)
