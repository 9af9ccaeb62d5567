import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from descend.direct.line import Brent, Golden, reach
from descend.errors import InvalidValue
from descend.space.domain import Domain


def searched(line, f, step=1.0, low=-math.inf, high=math.inf):
    """t, its loss, and where f was asked."""
    asked = []

    def ray(t):
        asked.append(t)
        return float((yield torch.tensor([[t]], dtype=torch.float64))[0])

    talk = line.search(ray, f(0.0), step, low, high)
    try:
        answer = next(talk)
        while True:
            answer = talk.send(torch.tensor([f(float(answer))], dtype=torch.float64))
    except StopIteration as end:
        return *end.value, asked


FUNCTIONS = {
    "parabola": (lambda t: (t - 3) ** 2, 3.0),
    "far parabola": (lambda t: (t - 3000) ** 2, 3000.0),
    "behind": (lambda t: (t + 0.7) ** 2 - 4, -0.7),
    "quartic": (lambda t: (t - 2) ** 4 + t, 2 - 4 ** (-1 / 3)),
    "steep": (lambda t: math.exp(t) - 5 * t, math.log(5)),
    "waves": (lambda t: math.cosh(t - 1.3) + 0.01 * math.sin(5 * t), None),
    "kink": (lambda t: abs(t - 0.4) + 0.1 * t, 0.4),
    "failing": (lambda t: math.inf if t > 2 else (t - 1.8) ** 2, 1.8),
}


@pytest.mark.parametrize("line", [Brent(1e-6), Golden(1e-6)], ids=repr)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_finds_a_minimum(line, name):
    f, at = FUNCTIONS[name]
    t, loss, _ = searched(line, f)
    assert loss == f(t)
    at = (
        minimize_scalar(f, bounds=(t - 0.3, t + 0.3), method="bounded", options={"xatol": 1e-9}).x if at is None else at
    )
    assert t == pytest.approx(at, abs=1e-5 * max(1, abs(at)))


@pytest.mark.parametrize("name", ["parabola", "quartic", "steep", "far parabola"])
def test_brent_needs_no_more_evaluations_than_scipys(name):
    f, _ = FUNCTIONS[name]
    for accuracy in (1e-2, 1e-6):
        _, _, asked = searched(Brent(accuracy), f)
        theirs = minimize_scalar(f, method="brent", bracket=(0.0, 1.0), options={"xtol": accuracy})
        assert len(asked) <= theirs.nfev  # which evaluates 0 too


def test_brent_needs_far_fewer_than_golden_sections():
    for name in ("quartic", "steep"):
        f, _ = FUNCTIONS[name]
        assert len(searched(Brent(1e-6), f)[2]) < 0.7 * len(searched(Golden(1e-6), f)[2])


@pytest.mark.parametrize("line", [Brent(), Golden()], ids=repr)
def test_stays_between_its_ends(line):
    for f in (lambda t: t, lambda t: -t, lambda t: (t - 10) ** 2, lambda t: math.sin(t)):
        for low, high in ((-0.3, 0.2), (0.0, 5.0), (-5.0, 0.0), (-1.0, math.inf)):
            t, loss, asked = (
                searched(line, f, 1.0, low, high) if high < math.inf else searched(line, abs, 1.0, low, high)
            )
            assert all(low <= s <= high for s in asked)
            assert loss <= (f if high < math.inf else abs)(0.0)
    t, _, _ = searched(line, lambda t: t, 1.0, -0.3, 0.2)
    assert t == -0.3
    assert searched(line, lambda t: t, 1.0, 0.0, 0.0) == (0.0, 0.0, [])


def test_a_failure_is_only_high():
    t, loss, _ = searched(Brent(), lambda t: math.inf)
    assert loss == math.inf
    assert math.isfinite(t)


def test_reach_is_as_far_as_the_domain_goes():
    x = torch.tensor([1.0, 2.0, 3.0])
    domain = Domain.box(torch.tensor([0.0, 0.0, -math.inf]), torch.tensor([4.0, 4.0, math.inf]))
    assert reach(x, torch.tensor([1.0, -1.0, 5.0]), domain) == (-1.0, 2.0)
    assert reach(x, torch.tensor([0.0, 0.0, 5.0]), domain) == (-math.inf, math.inf)
    assert reach(x, torch.tensor([-2.0, 0.0, 0.0]), domain) == (-1.5, 0.5)
    assert reach(x, torch.ones(3), Domain.free(x)) == (-math.inf, math.inf)


def test_wrong_numbers_are_refused_in_a_sentence():
    for kind in (Brent, Golden):
        with pytest.raises(InvalidValue, match="accuracy > 0, got 0"):
            kind(accuracy=0)
        with pytest.raises(InvalidValue, match=r"most >= 1, got 0.5"):
            kind(most=0.5)
