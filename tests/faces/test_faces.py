"""The methods of other libraries: they go where the library goes by itself, and keep the promises of every method."""

import gc
import importlib
import io
import math
import threading
import time
import warnings
from contextlib import suppress

import cma
import nlopt
import numpy as np
import optuna
import pytest
import torch
from scipy import optimize

from descend.errors import CompositionError, InvalidValue, MissingExtra
from descend.faces import Nevergrad, NLopt, Optuna, PyCMA, Pymoo, SciPy
from descend.faces.base import in_thread, seed
from descend.key import Key
from descend.oracle import Function
from descend.run import Evaluations, minimize
from descend.space.domain import Domain
from descend.testing import search
from descend.tree import from_plain, to_plain

LOW, HIGH = -2.0, 3.0
START = (-1.2, 1.0, 0.5)
LOCAL = [SciPy(name) for name in ("COBYLA", "COBYQA", "L-BFGS-B", "Nelder-Mead", "Powell", "SLSQP", "TNC")]
GLOBAL = [SciPy(name) for name in ("differential_evolution", "direct", "dual_annealing", "shgo")]
NLOPT = [NLopt(name) for name in ("LN_BOBYQA", "LN_COBYLA", "LN_SBPLX", "GN_CRS2_LM", "GN_DIRECT_L", "G_MLSL_LDS")]
PYMOO = [Pymoo(name) for name in ("CMAES", "DE", "DIRECT", "ES", "GA", "PSO", "SRES")]
PYMOO += [Pymoo(name, {"pop_size": 40}) for name in ("G3PCX", "NicheGA", "ISRES", "NRBO")]
OPTUNA = [Optuna("CmaEsSampler"), Optuna("TPESampler", at_once=3), Optuna("GPSampler")]
ALL = [*LOCAL, *GLOBAL, *NLOPT, *PYMOO, *OPTUNA, PyCMA()]
FEW = [SciPy("COBYQA"), SciPy("dual_annealing"), NLopt(), Pymoo(), Optuna(), PyCMA()]


@pytest.fixture(autouse=True)
def _quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries say of themselves and of each other
        yield


def bowl(x):
    return float(((x - 0.7) ** 2 * np.array([1, 3, 10])).sum())


def box(d=3, low=LOW, high=HIGH):
    return Domain.box(torch.full((d,), low, dtype=torch.float64), torch.full((d,), high, dtype=torch.float64))


def asked(method, f, n, domain=None, key=0, start=START):
    """The first n points that it asks for, their losses, and its state."""
    state = method.init(torch.tensor(start, dtype=torch.float64), Key(key), box() if domain is None else domain)
    points, losses = [], []
    while len(points) < n and not state.done:
        state, xs = method.ask(state)
        values = [f(x) for x in xs.numpy().copy()]
        points, losses = [*points, *xs.numpy().copy()], [*losses, *values]
        state = method.tell(state, xs, torch.tensor(values, dtype=torch.float64))
    return np.array(points), np.array(losses), state


class Enough(Exception):
    pass


def recorded(run, f, n):
    """The first n points at which `run(objective)` evaluates its objective."""
    points = []

    def objective(x, *_):
        if len(points) == n:
            raise Enough
        points.append(np.array(x, dtype=float))
        return f(x)

    with suppress(Enough):
        run(objective)
    return np.array(points)


@pytest.mark.parametrize("method", ALL, ids=repr)
def test_minimizes_a_bowl_in_a_box(method):
    n = 1000 if method in GLOBAL + PYMOO + NLOPT else 15 if method == Optuna("GPSampler") else 150
    points, losses, state = asked(method, bowl, n)
    assert (points >= LOW).all()
    assert (points <= HIGH).all()
    assert losses.min() < 0.2 * bowl(np.array(START))
    assert state.value == losses.min()


@pytest.mark.parametrize("name", ["COBYQA", "L-BFGS-B", "Nelder-Mead", "Powell"])
def test_scipys_local_methods_go_their_own_way(name):
    bounds = [(LOW, HIGH)] * 3
    theirs = recorded(lambda f: optimize.minimize(f, START, method=name, bounds=bounds), bowl, 60)
    ours, _, _ = asked(SciPy(name), bowl, 60)
    np.testing.assert_array_equal(ours[: len(theirs)], theirs)
    assert len(theirs) > 10


def test_scipys_global_methods_go_their_own_way():
    bounds, key = [(LOW, HIGH)] * 3, Key(4)
    for name in ("differential_evolution", "dual_annealing"):
        minimizer = getattr(optimize, name)
        rng = np.random.default_rng(seed(key))
        theirs = recorded(lambda f, m=minimizer, r=rng: m(f, bounds, x0=np.array(START), rng=r), bowl, 200)
        ours, _, _ = asked(SciPy(name), bowl, 200, key=4)
        np.testing.assert_array_equal(ours[:200], theirs)


def test_scipys_differential_evolution_asks_a_generation_at_a_time():
    method = SciPy(options={"vectorized": True, "updating": "deferred", "popsize": 5})
    state = method.init(torch.tensor(START, dtype=torch.float64), Key(0), box())
    for _ in range(3):
        state, xs = method.ask(state)
        assert xs.shape == (15, 3)
        state = method.tell(state, xs, xs.square().sum(1))


def test_nlopts_methods_go_their_own_way():
    for name in ("LN_BOBYQA", "LN_SBPLX", "GN_DIRECT_L", "GN_CRS2_LM"):

        def run(f, name=name):
            search = nlopt.opt(getattr(nlopt, name), 3)
            search.set_lower_bounds(LOW)
            search.set_upper_bounds(HIGH)
            search.set_min_objective(f)
            nlopt.srand(seed(Key(4)))
            search.optimize(np.array(START))

        ours, _, _ = asked(NLopt(name), bowl, 40, key=4)
        np.testing.assert_array_equal(ours, recorded(run, bowl, 40)[: len(ours)])


def test_pycma_goes_its_own_way():
    ours, _, _ = asked(PyCMA(), bowl, 70, key=4)
    random = np.random.RandomState(seed(Key(4)))
    options = {"seed": np.nan, "randn": random.randn, "verbose": -9, "bounds": [LOW, HIGH], "CMA_stds": [5.0] * 3}
    theirs = cma.CMAEvolutionStrategy(START, 0.2, options)
    for generation in ours[:70].reshape(-1, 7, 3):
        us = theirs.ask()
        np.testing.assert_allclose(generation, us, rtol=0, atol=1e-15)
        theirs.tell(us, [bowl(u) for u in us])


def test_pycma_takes_integers_for_integers():
    """The cell i is the integer i to it, so that its own care for integers works."""
    domain = Domain.box(
        torch.tensor([0.0, 0.0, 10.0], dtype=torch.float64),
        torch.tensor([1.0, 1.0, 20.0], dtype=torch.float64),
        cells=torch.tensor([0, 200, 7]),
    )

    def f(x):
        return float(
            (x[0] - 0.3) ** 2 + (math.floor(200 * x[1]) - 150) ** 2 + (math.floor((x[2] - 10) / 10 * 7) - 2) ** 2
        )

    points, losses, _ = asked(PyCMA(), f, 1200, domain, start=(0.5, 0.5, 15.0))
    assert losses.min() < 1e-8
    np.testing.assert_allclose(points[:, 1] * 200 % 1, 0.5, atol=1e-9)


def test_optuna_goes_its_own_way_and_begins_with_the_start():
    ours, _, _ = asked(Optuna(), bowl, 30, key=4)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed(Key(4))))
    study.enqueue_trial({f"x{i}": x for i, x in enumerate(START)})
    study.optimize(lambda t: bowl(np.array([t.suggest_float(f"x{i}", LOW, HIGH) for i in range(3)])), 30)
    np.testing.assert_array_equal(ours, [[t.params[f"x{i}"] for i in range(3)] for t in study.trials])
    assert ours[0].tolist() == list(START)


def test_optuna_has_integers_and_categories():
    domain = Domain.box(
        torch.tensor([0.0, 10.0], dtype=torch.float64),
        torch.tensor([1.0, 20.0], dtype=torch.float64),
        cells=torch.tensor([5, 4]),
        unordered=torch.tensor([True, False]),
    )
    points, _, state = asked(
        Optuna(), lambda x: float(abs(x[0] - 0.7) + abs(x[1] - 13.75)), 60, domain, start=(0.1, 19.0)
    )
    assert set(points[:, 1]) <= {11.25, 13.75, 16.25, 18.75}
    assert state.x.tolist() == pytest.approx([0.7, 13.75])


@pytest.mark.parametrize("method", FEW, ids=repr)
@pytest.mark.parametrize(
    "contract",
    [
        search.asks_inside,
        search.keeps_the_dtype,
        search.leaves_what_it_is_given,
        search.takes_answers_in_any_order,
        search.loses_no_answer,
        search.survives_failed_generations,
    ],
    ids=lambda contract: contract.__name__,
)
def test_contract(method, contract):
    contract(method)


@pytest.mark.parametrize("method", FEW, ids=repr)
def test_a_saved_search_goes_on_and_the_key_decides(method):
    x = torch.tensor(START, dtype=torch.float64)
    state, saved = method.init(x, Key(3), box()), None
    numpy, ambient = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    points = []
    for turn in range(12):
        if turn == 5:
            file = io.BytesIO()
            torch.save(to_plain(state), file)
            file.seek(0)
            saved = from_plain(torch.load(file, weights_only=True))
        state, xs = method.ask(state)
        points.append(xs)
        state = method.tell(state, xs, xs.square().sum(1))
    for xs in points[5:]:
        saved, again = method.ask(saved)
        assert torch.equal(again, xs)
        saved = method.tell(saved, again, again.square().sum(1))
    after = np.random.get_state()[1]  # noqa: NPY002
    assert np.array_equal(after, numpy), "NumPy's global random state was touched"
    assert torch.equal(torch.get_rng_state(), ambient), "torch's global random state was touched"


def running():
    return [thread for thread in threading.enumerate() if thread.name == "descend.faces"]


def ended():
    """Whether all threads end, now that nobody listens."""
    for _ in range(100):
        gc.collect()
        if not running():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("method", [SciPy("dual_annealing"), NLopt("LN_SBPLX"), SciPy("COBYLA")], ids=repr)
def test_its_thread_ends_when_nobody_listens(method):
    assert ended()
    state = method.init(torch.tensor(START, dtype=torch.float64), Key(0), box())
    state, xs = method.ask(state)
    state = method.tell(state, xs, xs.square().sum(1))
    assert len(running()) == 1
    del state
    assert ended()
    minimize(lambda x: float(x @ x), np.array(START), bounds=(LOW, HIGH), method=method, until=Evaluations(20), key=0)
    assert ended()


@pytest.mark.parametrize("method", [SciPy("Powell"), NLopt(), PyCMA()], ids=repr)
def test_an_interrupt_ends_it(method):
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return bowl(x)

    result = minimize(f, np.array(START), bounds=(LOW, HIGH), method=method, key=0)
    assert result.reason == "interrupted by the user"
    assert ended()


def test_one_word_switches_between_them():
    reached = {}
    for method in (SciPy("Powell"), NLopt(), PyCMA(), Optuna("CmaEsSampler"), Pymoo("PSO"), SciPy("direct")):
        result = minimize(bowl, np.array(START), bounds=(LOW, HIGH), method=method, until=Evaluations(400), key=0)
        assert result.total <= 400
        assert result.fun == bowl(result.x)
        reached[repr(method)] = result.fun
    assert max(reached.values()) < 0.05


def test_two_that_share_a_lock_take_turns():
    """SciPy's COBYQA locks itself; with another one underway it would wait for ever."""
    alone, _, _ = asked(SciPy("COBYQA"), bowl, 30)
    methods = [SciPy("COBYQA")] * 2
    states = [method.init(torch.tensor(START, dtype=torch.float64), Key(0), box()) for method in methods]
    for turn in range(60):
        i = (turn // 3) % 2
        if states[i].done:
            continue
        states[i], xs = methods[i].ask(states[i])
        assert len(running()) <= 1
        np.testing.assert_array_equal(xs[0].numpy(), alone[states[i].t])
        states[i] = methods[i].tell(states[i], xs, torch.tensor([bowl(xs[0].numpy())], dtype=torch.float64))
    assert min(state.t for state in states) > 20
    assert states[0].done == states[1].done


def test_what_breaks_inside_is_the_reason_and_no_exception():
    def run(objective):
        objective(np.zeros((1, 3)))
        raise ArithmeticError("singular")

    class Breaking(SciPy):
        def talk(self, x, domain, key):
            return in_thread(run)

    _, _, state = asked(Breaking(), bowl, 5)
    assert state.done.endswith("gave up: ArithmeticError: singular")
    assert state.value == bowl(np.zeros(3))
    with pytest.raises(TypeError, match="no_such_thing"):  # but a wrong option is said at once
        asked(SciPy(options={"no_such_thing": 1}), bowl, 5)


def test_failures_are_infinite_to_the_library():
    def f(x):
        return math.nan if x[0] > 0.5 else bowl(x)

    for method in (SciPy("Nelder-Mead"), NLopt("LN_SBPLX"), PyCMA(), Pymoo("PSO"), Optuna("TPESampler")):
        points, losses, state = asked(method, f, 150)
        assert state.value == np.nanmin(losses)
        assert (points[:, 0] <= 0.5).any()


def test_works_in_single_precision():
    x = torch.tensor(START)
    for method in FEW:
        state = method.init(x, Key(0), box())
        for _ in range(5):
            state, xs = method.ask(state)
            assert xs.dtype == torch.float32
            state = method.tell(state, xs, xs.square().sum(1).double())


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    def nothing(name, *_):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", nothing)
    for make, extra in ((SciPy, "scipy"), (NLopt, "nlopt"), (PyCMA, "pycma"), (Pymoo, "pymoo"), (Optuna, "optuna")):
        with pytest.raises(MissingExtra, match=rf"pip install 'descend\[{extra}\]'"):
            make()
    with pytest.raises(MissingExtra, match=r"pip install 'descend\[nevergrad\]'"):
        Nevergrad()


def test_wrong_names_and_numbers_are_refused_in_a_sentence():
    for make, message in (
        (lambda: SciPy("powell"), "no minimizer 'powell' here; write one of .*'Powell'"),
        (lambda: NLopt("LD_MMA"), "no algorithm 'LD_MMA' without derivatives; write one of .*'LN_BOBYQA'"),
        (lambda: NLopt(local="BOBYQA"), "no algorithm 'BOBYQA'"),
        (lambda: NLopt(options={"tol": 1}), "no option 'tol'; write some of .*'xtol_rel'"),
        (lambda: PyCMA(sigma=0), r"sigma > 0, got 0; write PyCMA\(sigma=0.2\)"),
        (lambda: Pymoo("NSGA2"), "no method 'NSGA2' here; write one of .*'DE'"),
        (lambda: Optuna("TPE"), "no sampler 'TPE'; write one of .*'TPESampler'"),
        (lambda: Optuna(at_once=0), "at_once >= 1, got 0"),
    ):
        with pytest.raises(InvalidValue, match=message):
            make()
    free = Domain.free(torch.zeros(3, dtype=torch.float64))
    for method in (SciPy("direct"), NLopt("GN_DIRECT"), Pymoo(), Optuna()):
        with pytest.raises(InvalidValue, match=r"two sides for every coordinate, and x\[0\] lies in \[-inf, inf\]"):
            asked(method, bowl, 1, free)
    with pytest.raises(CompositionError, match="BFGS knows no bounds; write SciPy"):
        asked(SciPy("BFGS"), bowl, 1)
    with pytest.raises(InvalidValue, match="LN_NEWUOA knows no bounds"):
        asked(NLopt("LN_NEWUOA"), bowl, 1)


@pytest.mark.parametrize(
    "method",
    [SciPy("BFGS"), SciPy("CG"), SciPy("basinhopping"), NLopt("LN_NEWUOA"), NLopt("LN_PRAXIS"), PyCMA()],
    ids=repr,
)
def test_works_without_bounds(method):
    _, losses, _ = asked(method, bowl, 400, Domain.free(torch.zeros(3, dtype=torch.float64)))
    assert losses.min() < 1e-3


def test_an_oracle_counts_what_they_evaluate():
    f = Function(lambda x: (x - 0.7).square().sum())
    method = NLopt()
    state = method.init(torch.tensor(START, dtype=torch.float64), Key(0), box())
    for _ in range(7):
        state = method.advance(f, state)
    assert f.ledger.total == 7
