"""Ask and tell from outside: whatever the order, every answer reaches the method once, under its ticket."""

import json
import math
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from descend.descent import Descent
from descend.errors import CompositionError, InvalidValue, ShapeMismatch, StateMismatch
from descend.key import Key
from descend.population.base import AskTell as Method
from descend.population.base import check_point, found
from descend.population.cma import CMAES
from descend.population.conversation import Conversation, Turns
from descend.population.snes import SNES
from descend.population.xnes import XNES
from descend.run.ask_tell import AskTell
from descend.space import Choice, Domain, Float, Int, Space, When
from descend.tree import state


@state
class Notes:
    """What `Recorder` remembers."""

    x: Tensor
    value: float
    loss: float
    rejected: int
    t: int
    asked: int
    key: Key
    domain: Domain
    done: str


@dataclass(frozen=True)
class Recorder(Method[Notes]):
    """Draws uniformly, four at a time, gives no more than `most` before it is told, and writes down what it is told."""

    most: int = 1000
    heard: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list, compare=False, repr=False)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> Notes:
        return Notes(x, math.nan, math.nan, 0, 0, 0, key, check_point(x, domain), "")

    def batch(self, state: Notes) -> int:
        return 4

    def ask(self, state: Notes, n: int | None = None) -> tuple[Notes, Tensor]:
        n = min(4 if n is None else n, self.most - state.asked)
        xs = [state.domain.uniform(1, state.key.fold(state.asked + i), state.x) for i in range(n)]
        return self._next(state, state.asked + n), torch.cat([state.x[None][:0], *xs])

    def tell(self, state: Notes, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> Notes:
        assert tickets is not None
        self.heard.append((xs, losses, tickets))
        at = found(state, xs, losses)
        return Notes(
            at.x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, state.done
        )

    @staticmethod
    def _next(state: Notes, asked: int) -> Notes:
        return Notes(
            state.x, state.value, state.loss, state.rejected, state.t, asked, state.key, state.domain, state.done
        )

    def told(self) -> dict[int, tuple[list[float], float]]:
        """What was told under every ticket."""
        everything = [
            (int(ticket), (x.tolist(), float(loss)))
            for xs, losses, tickets in self.heard
            for x, loss, ticket in zip(xs, losses, tickets, strict=True)
            if ticket >= 0
        ]
        assert len(dict(everything)) == len(everything), "a ticket was told twice"
        return dict(everything)


@dataclass(frozen=True)
class Compass(Conversation):
    """Two points at a time along one coordinate after the other; one that waits for its answers."""

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        step, best = 1.0, math.inf
        while step > 1e-3:
            moved = False
            for i in range(x.numel()):
                probes = x.repeat(2, 1)
                probes[0, i] += step
                probes[1, i] -= step
                probes = domain.clip(probes)
                losses = yield probes
                least, at = losses.min(0)
                if float(least) < best:
                    best, x, moved = float(least), probes[int(at)], True
            step = step if moved else step / 2
        return "the steps are small"


def bowl(x: np.ndarray) -> float:
    return float(((x - np.array([1.0, -2.0, 0.5])) ** 2).sum())


def test_asked_by_generations_it_is_the_method_itself() -> None:
    method, search = SNES(popsize=8), AskTell(SNES(popsize=8), np.zeros(3), key=5)
    state = method.init(torch.zeros(3, dtype=torch.float64), Key(5))
    for _ in range(20):
        state, xs = method.ask(state)
        points = search.ask(8)
        assert np.array_equal(np.stack(points), xs.numpy())
        losses = [bowl(point) for point in points]
        search.tell(points, losses)
        state = method.tell(state, xs, torch.tensor(losses, dtype=torch.float64))
    assert search.best[1] == state.value
    assert np.array_equal(search.best[0], state.x.numpy())


def test_any_order_reaches_the_method_under_the_right_tickets() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(3), key=1)
    points = [search.ask(), *search.ask(6), search.ask(), *search.ask(4)]
    for i in Key(3).permutation(12).tolist():
        search.tell(points[i], bowl(points[i]))
    assert [len(losses) for _, losses, _ in method.heard] == [4, 4, 4]
    assert method.told() == {i: (point.tolist(), bowl(point)) for i, point in enumerate(points)}
    assert (search.evaluations, search.pending) == (12, [])
    assert search.best[1] == min(map(bowl, points))
    assert bowl(search.best[0]) == search.best[1]


def test_answers_wait_until_there_are_as_many_as_the_method_likes() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(2))
    points = search.ask(11)
    search.tell(points[:3], [0.0, 1.0, 2.0])
    assert not method.heard
    search.tell(points[3:], torch.arange(3.0, 11.0))
    assert [losses.tolist() for _, losses, _ in method.heard] == [list(range(11))]


def test_points_are_recognized_by_what_they_are_and_by_what_they_mean() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(2))
    points = search.ask(4)
    search.tell([points[2].tolist(), points[0].copy()], [2, np.float32(0)])  # as after a journey through JSON
    kept = points[1].copy()
    points[1] += 100  # an objective wrote into it
    assert [point is p for point, p in zip(search.pending, (points[1], points[3]), strict=True)] == [True, True]
    search.tell([points[1], points[3]], np.array([1.0, 3.0]))
    meant = [points[0], kept, points[2], points[3]]
    assert method.told() == {i: (point.tolist(), float(i)) for i, point in enumerate(meant)}


def test_points_that_were_never_asked_for_count_too() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(2), bounds=(-5, 5))
    search.tell([[1.0, 2.0], (0, -0.5)], [7.0, 6.0])
    assert search.best[1] == 6.0
    assert search.best[0].tolist() == [0, -0.5]
    search.tell(search.ask(2), [9.0, 8.0])
    ((xs, losses, tickets),) = method.heard
    assert (xs[:2].tolist(), losses.tolist(), tickets.tolist()) == ([[1, 2], [0, -0.5]], [7, 6, 9, 8], [-1, -1, 0, 1])


def test_what_comes_twice_is_ignored_and_another_loss_is_another_measurement() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(2))
    points = search.ask(3)
    search.tell(points, [1.0, math.nan, 3.0])
    search.tell(points, [1.0, math.nan, 3.0])
    search.tell([points[0], points[0]], [1.0, 1.0])
    assert (search.evaluations, search.failures) == (3, 1)
    search.tell(points[2], 2.5)
    assert search.evaluations == 4
    assert method.heard[0][2].tolist() == [0, 1, 2, -1]


def test_failures_are_told_as_failures() -> None:
    method = Recorder()
    search = AskTell(method, np.zeros(2))
    points = search.ask(4)
    search.tell(points[:3], [math.inf, ValueError("broken"), -math.inf])
    assert search.last_failure == "the objective returned -inf"
    assert math.isnan(search.best[1])
    assert search.best[0].tolist() == [0, 0]
    search.tell(points[3], RuntimeError("too"))
    assert method.heard[0][1].isnan().all()
    assert (search.evaluations, search.failures, search.last_failure) == (4, 4, "RuntimeError: too")


def work(search: AskTell, seconds: list[float], until: int) -> int:
    """Drive a search with workers of these speeds, each given a new point when it is done; how many were idle."""
    clock: list[tuple[float, int, Any]] = []
    for worker, pace in enumerate(seconds):
        heappush(clock, (pace, worker, search.ask()))
    while search.evaluations < until:
        now, worker, point = heappop(clock)
        search.tell(point, bowl(point))
        heappush(clock, (now + seconds[worker], worker, search.ask()))
    assert {id(point) for _, _, point in clock} == {id(point) for point in search.pending}
    return len(seconds) - len(clock)


@pytest.mark.parametrize("most", [1000, 20])
def test_slow_and_unequal_workers_lose_nothing(most: int) -> None:
    method = Recorder(most)
    search = AskTell(method, np.zeros(3), key=2, bounds=(-4, 4))
    assert work(search, [1.0, 0.3, 7.0, 1.1, 2.0], 400) == 0
    tickets = torch.cat([tickets for _, _, tickets in method.heard])
    assert len(tickets) == 400
    assert (tickets == -1).sum() == max(0, 400 - most)
    for x, loss in method.told().values():
        assert bowl(np.array(x)) == loss
    assert all(bool(search._outer.domain.contains(xs).all()) for xs, _, _ in method.heard)


@pytest.mark.parametrize("method", [CMAES(), Compass()], ids=["cmaes", "compass"])
def test_slow_and_unequal_workers_find_the_minimum(method: Any) -> None:
    search = AskTell(method, np.zeros(3), key=2)
    work(search, [1.0, 0.3, 7.0, 1.1, 2.0], 900)
    assert search.best[1] < 1e-5


def test_workers_of_a_method_that_waits_look_around_the_best_point() -> None:
    search = AskTell(Compass(), np.zeros(3), key=0)
    first = search.ask(8)
    assert [bool(np.abs(point).sum() == 1) for point in first[:2]] == [True, True]
    assert len({tuple(point) for point in first}) == 8
    search.tell(first, [bowl(point) for point in first])
    best = search.best[0]
    distances = np.sort([np.abs(point - best).max() for point in search.ask(202)[2:]])
    assert distances[20] < 0.01 < distances[100] < 0.2 < distances[-1] < 2.5


def test_discrete_coordinates_are_changed_around_the_best_point() -> None:
    search = AskTell(Compass(), np.full(4, 0.5), bounds=(0, 1))
    ends, cells = torch.zeros(4, dtype=torch.float64), torch.tensor([0, 10, 10, 10])
    search._outer.domain = Domain.box(ends, ends + 1, cells=cells)  # type: ignore[misc]
    search.tell(np.full(4, 0.55), 1.0)
    near = torch.stack([torch.from_numpy(point) for point in search.ask(402)[2:]])
    moved = (search._outer.domain.index(near) != 5)[:, 1:].double().mean(0)
    assert ((moved > 0.15) & (moved < 0.35)).all()


def told_of(search: AskTell, n: int) -> list[tuple[float, ...]]:
    """Ask and tell in an order that is neither, and leave some pending."""
    asked = []
    for _ in range(n):
        points = search.ask(3)
        asked += [tuple(point) for point in points]
        search.tell(points[1], bowl(points[1]))
        first = search.pending[0]
        search.tell(first, bowl(first))
    return asked


@pytest.mark.parametrize("method", [SNES(), XNES(popsize=7), Compass()], ids=repr)
def test_a_saved_search_goes_on_bit_for_bit(method: Any, tmp_path: Path) -> None:
    search = AskTell(method, [1.0, 0.0, 1.0], key=9, bounds=[(-3, None), (None, None), (-1, 2)])
    own = method if isinstance(method, Compass) else None
    told_of(search, 7)
    search.save(tmp_path / "search")
    assert [file.name for file in tmp_path.iterdir()] == ["search"]
    loaded = AskTell.load(str(tmp_path / "search"), own)
    assert (loaded.method, loaded.key) == (method, Key(9))
    assert [point.tolist() for point in loaded.pending] == [point.tolist() for point in search.pending]
    assert told_of(search, 9) == told_of(loaded, 9)
    assert (search.best[1], search.evaluations) == (loaded.best[1], loaded.evaluations)
    search.tell(np.array([1.0, 1, 1]), 3.0)
    search.save(tmp_path / "search")
    again = AskTell.load(tmp_path / "search", own)
    again.tell(np.array([1.0, 1, 1]), 3.0)  # known
    assert again.evaluations == search.evaluations


def test_points_come_in_the_type_of_x0(tmp_path: Path) -> None:
    search = AskTell(SNES(), torch.zeros(2, 3), key=0)
    search.save(tmp_path / "search")
    for one in (search, AskTell.load(tmp_path / "search")):
        point = one.ask()
        assert (point.shape, point.dtype) == ((2, 3), torch.float32)
        one.tell(point.double().numpy(), 1.5)
        assert torch.equal(one.best[0], point)
        assert not one.pending
    assert AskTell(SNES(), 3.0).ask().shape == ()


SPACE = Space(a=Float(1e-3, 10, log=True), n=Int(1, 9), kind=Choice("x", "y"), k=When("kind", "y", Int(0, 3)))


def cost(point: dict[str, Any]) -> float:
    return abs(math.log(point["a"])) + (point["n"] - 4) ** 2 + (0 if point.get("k") == 2 else 1)


def test_points_of_a_space(tmp_path: Path) -> None:
    method = Recorder()
    search = AskTell(method, SPACE, key=4)
    points = search.ask(8)
    search.tell(json.loads(json.dumps(points[::-1])), [cost(point) for point in points[::-1]])
    assert not search.pending
    assert sorted(method.told()) == list(range(8))
    # the method hears about the coordinates that it asked for, and not about those of the value that they mean
    assert all(SPACE.encode([point]).tolist() != [method.told()[i][0]] for i, point in enumerate(points))
    assert search.best == (min(points, key=cost), min(map(cost, points)))
    known = {"a": 1.0, "n": 4, "kind": "y", "k": 2}
    search.tell(known, 0.0)
    assert search.best == (known, 0.0)
    for wrong, sentence in [({**known, "n": 10}, "n must"), ({"a": 1.0}, "n"), (3, "dict")]:
        with pytest.raises(InvalidValue, match=sentence):
            search.tell(wrong, 1.0)
    with pytest.raises(InvalidValue, match="bounds of their own"):
        AskTell(SNES(), SPACE, bounds=(0, 1))
    pending = search.ask(3)
    search.save(tmp_path / "search")
    loaded = AskTell.load(tmp_path / "search", Recorder())
    assert (loaded.pending, loaded.best) == (pending, search.best)
    assert loaded.ask(5) == search.ask(5)


def test_a_point_that_is_pending_twice_is_answered_twice() -> None:
    method = Recorder()
    search = AskTell(method, Int(0, 1), key=0)
    points = search.ask(8)
    assert 0 < sum(points) < 8
    for point in points:
        search.tell(point, float(point))
    assert (search.pending, sorted(method.told())) == ([], list(range(8)))


def test_conditions_of_a_space_hold_at_every_point() -> None:
    method = Recorder()
    space = Space(a=Float(0, 1), b=Float(0, 1)).where(lambda p: p["a"] + p["b"] < 0.5)
    search = AskTell(method, space, key=0)
    points = search.ask(50)
    assert len(points) == 50
    assert all(p["a"] + p["b"] < 0.5 for p in points)
    failed = {i for i, (_, loss) in method.told().items() if math.isnan(loss)}
    assert 150 < len(failed) < 700  # one point in eight meets the condition
    assert not any(0 < x[0] + x[1] < 0.5 for x, loss in method.told().values() if math.isnan(loss))
    search.tell(points, [1.0] * 50)
    search.tell(search.ask(4), [1.0] * 4)
    assert len(method.told()) > len(failed) + 50  # the method's own questions are answered, not others in their place
    assert (search.evaluations, search.failures) == (54, 0)
    waiting = AskTell(Compass(), space.where(lambda p: p["a"] > 0.2), key=0)
    assert all(p["a"] > 0.2 and p["a"] + p["b"] < 0.5 for p in waiting.ask(30))
    with pytest.raises(InvalidValue, match="conditions"):
        AskTell(Recorder(), space.where(lambda p: False)).ask()


def test_wrong_input_gets_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompositionError, match="asks for values"):
        AskTell(Descent(), [1.0])  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="finite"):
        AskTell(SNES(), [math.nan])
    search = AskTell(SNES(), np.zeros(2), bounds=(-1, 1))
    for n in (0, -1, 1.5, True, "3"):
        with pytest.raises(InvalidValue, match="whole number n >= 1"):
            search.ask(n)  # type: ignore[arg-type]
    points = search.ask(2)
    for given, losses, kind, sentence in [
        (points, [1.0], InvalidValue, "2 points were told with 1 losses"),
        (points, [1.0, None], ShapeMismatch, "NoneType"),
        (points, [1.0, "2"], ShapeMismatch, "str"),
        (points[0], "2", ShapeMismatch, "str"),
        ([points[0], [1.0, 3.0]], [1.0, 2.0], InvalidValue, "coordinate 1 is 3, not in"),
        ([points[0], [1.0]], [1.0, 2.0], ShapeMismatch, "shape"),
        ([points[0], [math.nan, 0]], [1.0, 2.0], InvalidValue, "finite"),
    ]:
        with pytest.raises(kind, match=sentence):
            search.tell(given, losses)
    assert (search.evaluations, len(search.pending)) == (0, 2)
    typed = AskTell(SNES(), Space(a=Float(0, 1)))
    with pytest.raises(InvalidValue, match="one point was told with 1 losses in a list"):
        typed.tell({"a": 0.5}, [1.0])
    with pytest.raises(ShapeMismatch, match="returned dict"):
        typed.tell({"a": 0.5}, {"loss": 1.0})
    with pytest.raises(InvalidValue, match=r"where\(\) cannot be saved"):
        AskTell(SNES(), Space(a=Float(0, 1)).where(lambda p: True)).save(tmp_path / "where")
    assert (typed.evaluations, list(tmp_path.iterdir())) == (0, [])

    search.save(tmp_path / "search")
    with pytest.raises(StateMismatch, match="was saved with SNES"):
        AskTell.load(tmp_path / "search", XNES())
    AskTell(Compass(), np.zeros(2)).save(tmp_path / "own")
    with pytest.raises(InvalidValue, match=r"method=Compass\(\)"):
        AskTell.load(tmp_path / "own")
    torch.save({"other": 1}, tmp_path / "other")
    (tmp_path / "text").write_text("nothing")
    for name in ("other", "text"):
        with pytest.raises(StateMismatch, match="not a saved search"):
            AskTell.load(tmp_path / name)
