"""Numbers and their coordinates, on every scale, in every range that floats have: what goes in comes out."""

import math
import sys

import numpy as np
import pytest

from descend.space.curve import Curve, Line, Log, Logit, decode, encode

MOST, LEAST, NEARLY = sys.float_info.max, 5e-324, 1 - 2**-53


def line(low: float, high: float) -> Line:
    return Line.between(low, high, low, high)


def log(low: float, high: float) -> Log:
    return Log(low, high, low, high)


def logit(low: float, high: float) -> Logit:
    return Logit(low or LEAST, high if high < 1 else NEARLY, low, high)


CURVES: dict[str, Curve] = {
    "unit": line(0, 1),
    "shifted": line(0.1, 0.7),
    "around zero": line(-1, 1),
    "all floats": line(-MOST, MOST),
    "denormal": line(0, 1e-310),
    "far and narrow": line(1e6, 1e6 + 1e-3),
    "neighbours": line(1, math.nextafter(1, 2)),
    "free": Line.free(3.0, 0.1),
    "free at zero": Line.free(0.0, 1.0),
    "log": log(1e-5, 1),
    "log of much": log(1e-300, 1e300),
    "log of all floats": log(LEAST, MOST),
    "log of little": log(1, 1 + 1e-10),
    "log of less than one": log(3, 5),
    "logit": logit(1e-3, 0.999),
    "logit near one": logit(0.999999, 0.9999991),
    "logit near zero": logit(1e-6, 1.1e-6),
    "logit of all": logit(0, 1),
    "logit of half": logit(0.5, 1),
}
EVERY = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
RANDOM = np.random.default_rng(0)


def coordinates(curve: Curve, n: int = 5_000) -> np.ndarray:
    """Coordinates everywhere, near the ends above all."""
    if math.isfinite(curve.start) and math.isfinite(curve.stop):
        u = [RANDOM.random(n), 10.0 ** RANDOM.uniform(-320, 0, n), 1 - 10.0 ** RANDOM.uniform(-17, 0, n), [0, 1, 0.5]]
        return np.concatenate(u)
    return np.clip(
        np.concatenate([RANDOM.normal(0, 2, n), RANDOM.normal(0, 300, n), [0, 1e300, -1e300]]), curve.start, curve.stop
    )


def numbers(curve: Curve, n: int = 5_000) -> np.ndarray:
    """Numbers of the interval, whatever their coordinates."""
    if curve.low > 0:
        p = np.exp(RANDOM.uniform(math.log(curve.low), math.log(curve.high), n))
    else:
        p = RANDOM.uniform(max(curve.low, -1e307), min(curve.high, 1e307), n)
    return np.clip(p, curve.low, curve.high)


def ulps(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.max(np.abs(p - q) / np.spacing(np.abs(p))))


@EVERY
def test_what_was_decoded_comes_back_bit_for_bit(curve: Curve) -> None:
    p = decode(curve, coordinates(curve))
    u = encode(curve, p)
    assert np.array_equal(decode(curve, u), p)
    assert np.array_equal(encode(curve, decode(curve, u)), u)


@EVERY
def test_nothing_lies_outside_and_both_ends_are_there(curve: Curve) -> None:
    u = coordinates(curve)
    p = decode(curve, np.concatenate([u, u * 3, [curve.start, curve.stop]]))
    assert p.min() >= curve.low
    assert p.max() <= curve.high
    assert p[-2:].tolist() == [curve.low, curve.high]
    both = encode(curve, np.array([curve.low, curve.high]))
    assert curve.start <= both.min() <= both.max() <= curve.stop
    assert decode(curve, both).tolist() == [curve.low, curve.high]


@EVERY
def test_it_increases(curve: Curve) -> None:
    """Up to the last bits, which rounding to decimals may exchange."""
    p = decode(curve, np.sort(coordinates(curve)))
    with np.errstate(over="ignore"):
        assert bool((p[1:] >= p[:-1] - 4 * np.spacing(np.abs(p[1:]))).all())


@pytest.mark.parametrize("name", [name for name in CURVES if name not in ("log of all floats", "logit of all")])
def test_decimals_that_people_write_are_hit(name: str) -> None:
    curve = CURVES[name]
    if name == "log of much":  # beyond, the decimals' own unit is no float
        curve = log(1e-280, 1e280)
    typed = np.array([float(f"{p:.6g}") for p in numbers(curve, 2000)])
    typed = typed[(typed >= curve.low) & (typed <= curve.high)]
    assert np.array_equal(decode(curve, encode(curve, typed)), typed)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(("unit", 0), ("free at zero", 0), ("neighbours", 0), ("shifted", 4), ("denormal", 4), ("far and narrow", 4)),
        *(("free", 4), ("log of little", 4), ("log of less than one", 4), ("logit near one", 4)),
        *(("logit near zero", 4), ("logit of half", 4), ("log", 16), ("logit", 16), ("log of much", 1500)),
    ],
)
def test_any_float_comes_back_within_a_step_of_its_coordinate(name: str, most: float) -> None:
    """On a logarithmic scale a step is log(high / low) / 2 units in the last place."""
    p = numbers(CURVES[name])
    assert ulps(p, decode(CURVES[name], encode(CURVES[name], p))) <= most


def test_one_number_and_many_have_the_same_coordinates() -> None:
    for curve in CURVES.values():
        u = coordinates(curve, 40)
        p = decode(curve, u)
        assert [decode(curve, u[i : i + 1])[0] for i in range(len(u))] == p.tolist()
        assert [encode(curve, p[i : i + 1])[0] for i in range(len(u))] == encode(curve, p).tolist()


def test_scales_are_what_they_say() -> None:
    u = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(decode(line(-2, 6), u), -2 + 8 * u, rtol=1e-14)
    np.testing.assert_allclose(decode(log(1e-3, 1e2), u), 1e-3 * 1e5**u, rtol=1e-13)
    p = decode(logit(0.01, 0.999), u)
    ends = np.log([0.01 / 0.99, 0.999 / 0.001])
    np.testing.assert_allclose(np.log(p / (1 - p)), ends[0] + u * (ends[1] - ends[0]), rtol=1e-10)
    z = np.linspace(-3, 3, 61)
    normal = np.array([math.erf(x / math.sqrt(2)) / 2 + 0.5 for x in z])
    assert np.abs(decode(logit(0, 1), z) - normal).max() < 0.01  # a standard normal z is nearly uniform in p
