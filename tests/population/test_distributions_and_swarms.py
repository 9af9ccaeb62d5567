"""What holds for every distribution and swarm method alike."""

import copy
import io
import math
import sys
from pathlib import Path

import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Function
from descend.population.cr_fm_nes import CRFMNES
from descend.population.cross_entropy import CrossEntropy
from descend.population.differential import DifferentialEvolution
from descend.population.distribution import EstimationOfDistribution
from descend.population.mutation import Mutation
from descend.population.openai_es import OpenAIES
from descend.population.pgpe import PGPE
from descend.population.snes import SNES
from descend.population.success import JADE, SHADE, Fixed
from descend.population.swarm import ParticleSwarm
from descend.population.xnes import XNES
from descend.run import Evaluations, minimize
from descend.space.domain import Domain
from descend.step import Exponential
from descend.tree import from_plain, map_tensors, to_plain

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from distributions import CORNER, SHIFT, bowl, box, ellipsoid, grid, search

shrinking = Exponential(0.1, gamma=0.985)
METHODS = {
    "SNES": SNES(),
    "XNES": XNES(),
    "PGPE": PGPE(),
    "OpenAIES": OpenAIES(sigma=shrinking, lr=shrinking),
    "CRFMNES": CRFMNES(),
    "CrossEntropy": CrossEntropy(),
    "UMDA": EstimationOfDistribution(),
    "EMNA": EstimationOfDistribution(joint=True),
    "SHADE": DifferentialEvolution(),
    "L-SHADE": DifferentialEvolution(budget=8000),
    "PSO": ParticleSwarm(),
    "PSO-global": ParticleSwarm(topology="global"),
}
every = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
START = torch.linspace(11.0, 19.0, 5, dtype=torch.float64)
BOX = box(10.0, 20.0, 5)


def owned(state):
    return map_tensors(lambda t: t.clone(), state)


def saved(state):
    file = io.BytesIO()
    torch.save(to_plain(state), file)
    file.seek(0)
    return from_plain(torch.load(file, weights_only=True))


@every
def test_finds_an_asymmetric_minimum_in_a_shifted_box(method):
    state, _ = search(method, bowl, CORNER, 20_000, BOX, target=1e-6)
    assert state.value < 1e-6
    assert (state.x - SHIFT).abs().max() < 1e-2
    assert float(bowl(state.x)) == state.value


@every
def test_asks_only_inside_and_survives_failures_and_constants(method):
    domain = Domain.box(
        torch.tensor([10.0, -math.inf, 0.0], dtype=torch.float64),
        torch.tensor([10.5, 3.0, math.inf], dtype=torch.float64),
    )
    losses = {
        "failures": lambda xs, t: torch.where(
            torch.arange(len(xs)) % 3 == t % 3, math.nan, bowl(xs.repeat(1, 2)[:, :5])
        ),
        "infinities": lambda xs, t: torch.full((len(xs),), math.inf if t % 2 else -math.inf, dtype=torch.float64),
        "constant": lambda xs, t: torch.ones(len(xs), dtype=torch.float64),
        "outward": lambda xs, t: (xs[:, 1] - xs[:, 2] - xs[:, 0]).to(torch.float64),
    }
    for name, f in losses.items():
        state = method.init(torch.tensor([10.0, 0.0, 5.0], dtype=torch.float64), Key(2), domain)
        for t in range(12):
            state, xs = method.ask(state)
            assert bool(domain.contains(xs).all()), name
            state = method.tell(state, xs, f(xs, t))
        assert bool(domain.contains(state.x)), name
        assert bool(state.x.isfinite().all()), name
        assert state.rejected == (12 if name == "infinities" else 0)


@every
def test_is_resumed_bit_for_bit_between_ask_and_tell_too(method):
    state = method.init(START, Key(3), BOX)
    for t in range(6):
        state, xs = method.ask(state)
        loaded, again = saved(state), xs.clone()
        state = method.tell(state, xs, bowl(xs))
        loaded = method.tell(loaded, again, bowl(again))
        further, points = method.ask(owned(state))
        resumed, same = method.ask(saved(loaded))
        assert torch.equal(points, same), t
        assert further.asked == resumed.asked


@every
def test_leaves_global_randomness_and_its_inputs_alone(method):
    before = torch.get_rng_state()
    start, kept = START.clone(), START.clone()
    state = method.init(start, Key(3), BOX)
    for _ in range(3):
        state, xs = method.ask(state)
        losses = bowl(xs)
        copies = xs.clone(), losses.clone()
        state = method.tell(state, xs, losses)
        assert torch.equal(xs, copies[0])
        assert torch.equal(losses, copies[1])
        xs.fill_(math.nan)  # what is done to points afterwards is nobody's business
    assert torch.equal(start, kept)
    assert torch.equal(torch.get_rng_state(), before)
    assert bool(method.ask(state)[1].isfinite().all())


@every
def test_goes_the_same_way_where_the_origin_is_elsewhere(method):
    shift = torch.full((5,), 4.0, dtype=torch.float64)
    there_box = Domain.box(BOX.lower + shift, BOX.upper + shift)
    here, there = method.init(START, Key(1), BOX), method.init(START + shift, Key(1), there_box)
    for _ in range(6):
        here, xs = method.ask(here)
        there, ys = method.ask(there)
        assert torch.allclose(xs + shift, ys, rtol=0, atol=1e-8)
        losses = bowl(xs)
        here, there = method.tell(here, xs, losses), method.tell(there, ys, losses)


@pytest.mark.parametrize("name", [name for name in METHODS if "SHADE" not in name])  # it weighs what was gained
def test_looks_at_ranks_only(name):
    method = METHODS[name]
    plain, bent = method.init(START, Key(1), BOX), method.init(START, Key(1), BOX)
    for _ in range(6):
        plain, xs = method.ask(plain)
        bent, ys = method.ask(bent)
        assert torch.equal(xs, ys)
        plain, bent = method.tell(plain, xs, bowl(xs)), method.tell(bent, ys, bowl(ys).sqrt() * 7 - 3)


@every
def test_answers_may_come_shuffled_and_with_tickets(method):
    """Shuffled answers with tickets teach the same as those in order, up to the order of a sum."""
    order, shuffled = method.init(START, Key(1), BOX), method.init(START, Key(1), BOX)
    for t in range(5):
        order, xs = method.ask(order)
        shuffled, ys = method.ask(shuffled)
        assert torch.allclose(xs, ys, rtol=0, atol=1e-7)
        first = shuffled.asked - len(ys)
        order = method.tell(order, xs, bowl(xs))
        mixed = Key(t).permutation(len(ys))
        shuffled = method.tell(shuffled, ys[mixed], bowl(ys[mixed]), first + mixed)


@every
def test_serves_workers_that_are_slow_and_unequal(method):
    """Two points at a time, six out at once, answers in a random order, some never asked: it still converges."""
    state, waiting, told = method.init(CORNER, Key(5), BOX), [], 0
    batch = max(2, method.batch(state) // 4)
    best = math.inf
    while told < 30_000 and not best < 1e-3:
        while len(waiting) < 2 * batch:
            state, xs = method.ask(state, 2)
            waiting += [(state.asked - 2 + i, x) for i, x in enumerate(xs)]
        picks = Key(told).permutation(len(waiting))[:batch].tolist()
        chosen = [waiting[i] for i in picks]
        waiting = [w for i, w in enumerate(waiting) if i not in picks]
        xs = torch.stack([x for _, x in chosen] + [state.x + 1e-3])
        xs = BOX.clip(xs)
        tickets = torch.tensor([k for k, _ in chosen] + [-1])
        state = method.tell(state, xs, bowl(xs), tickets)
        told += len(xs)
        best = state.value
    assert best < 1e-3


@every
def test_takes_what_it_never_asked_for(method):
    state = method.init(CORNER, Key(5), BOX)
    for _ in range(3):
        state, xs = method.ask(state)
        state = method.tell(state, xs, bowl(xs))
    gift = SHIFT[None] + 1e-3
    state = method.tell(state, gift, bowl(gift), torch.tensor([-1]))
    assert state.value == float(bowl(gift))
    assert torch.equal(state.x, gift[0])
    assert bool(method.ask(state)[1].isfinite().all())


@every
def test_asks_and_returns_the_middles_of_cells_and_solves_an_integer_problem(method):
    domain = grid(-0.5, 40.5, 6, 41)  # the integers 0 .. 40
    target = torch.tensor([3.0, 38.0, 20.0, 7.0, 31.0, 12.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 10.0, 3.0, 100.0, 1.0, 30.0], dtype=torch.float64)

    def f(xs):
        assert torch.equal(xs, xs.round())
        return ((xs - target).square() * weights).sum(-1)

    solved = sum(
        search(method, f, torch.full((6,), 20.0, dtype=torch.float64), 8000, domain, s, 0.5)[0].value == 0
        for s in range(5)
    )
    assert solved >= 4


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_the_dtype(method, dtype):
    domain = box(10.0, 20.0, 5, dtype)
    state = method.init(START.to(dtype), Key(0), domain)
    for _ in range(4):
        state, xs = method.ask(state)
        assert xs.dtype == dtype
        state = method.tell(state, xs, bowl(xs).double())
    assert state.x.dtype == dtype


@every
def test_minimize_counts_what_it_evaluates_and_keeps_to_the_budget(method):
    seen = []

    def f(x):
        seen.append(x.clone())
        return ellipsoid(x)

    result = minimize(Function(f, batched=False), START, method=method, until=Evaluations(333), key=1)
    assert len(seen) == result.total <= 333
    assert result.fun == float(ellipsoid(result.x))


@every
def test_refuses_what_is_no_point(method):
    with pytest.raises(ShapeMismatch, match="flat"):
        method.init(torch.zeros(2, 3), Key(0))
    with pytest.raises(InvalidValue, match="must lie in its domain"):
        method.init(torch.zeros(5, dtype=torch.float64), Key(0), BOX)


@pytest.mark.parametrize("name", ["SNES", "XNES", "PGPE", "CRFMNES"])
def test_a_far_stranger_does_not_blow_up_the_spread(name):
    method, start = METHODS[name], torch.zeros(4, dtype=torch.float64)
    state = method.init(start, Key(0))
    state, xs = method.ask(state)
    before = float((method.ask(owned(state))[1] - state.mean).std())
    gift = torch.full((1, 4), 1e5, dtype=torch.float64)
    xs, tickets = torch.cat((xs, gift)), torch.cat((torch.arange(len(xs)), torch.tensor([-1])))
    state = method.tell(state, xs, torch.arange(len(xs), 0.0, -1.0).double(), tickets)  # and it is the best
    after = float((method.ask(state)[1] - state.mean).std())
    assert 0.3 < after / before < 3
    assert float(state.mean.abs().max()) < 3


def test_a_copy_of_a_state_goes_the_same_way():
    method = SNES()
    state = method.init(START, Key(3), BOX)
    state, _ = method.ask(state)
    assert torch.equal(method.ask(copy.deepcopy(state))[1], method.ask(owned(state))[1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SNES(popsize=1), "popsize >= 2, got 1"),
        (lambda: SNES(sigma=-1.0), "sigma > 0, in typical lengths of the domain, got -1.0"),
        (lambda: XNES(rate=0.0), "rate > 0, got 0.0"),
        (lambda: PGPE(momentum=1.0), "momentum in [0, 1), got 1.0"),
        (lambda: PGPE(speed=math.nan), "speed > 0, got nan"),
        (lambda: OpenAIES(lr=0.0), "lr > 0, got 0.0"),
        (lambda: DifferentialEvolution(popsize=3), "popsize >= 4, got 3"),
        (lambda: DifferentialEvolution(mutation="rand/2", popsize=5), "popsize >= 6, got 5"),
        (lambda: DifferentialEvolution(mutation="rnd/1"), "no mutation 'rnd/1'; write one of rand/1"),
        (lambda: DifferentialEvolution(share=0.0), "share in (0, 1], got 0.0"),
        (lambda: DifferentialEvolution(budget=0), "budget >= 1, got 0"),
        (lambda: CRFMNES(popsize=2), "popsize >= 4, got 2"),
        (lambda: CrossEntropy(elite=1.0), "elite in (0, 1), got 1.0"),
        (lambda: CrossEntropy(rate=0.0), "rate in (0, 1], got 0.0"),
        (lambda: CrossEntropy(noise=-1.0), "noise >= 0, got -1.0"),
        (lambda: EstimationOfDistribution(elite=0.0), "elite in (0, 1), got 0.0"),
        (lambda: EstimationOfDistribution(rate=1.5), "rate in (0, 1], got 1.5"),
        (lambda: Fixed(weight=0.0), "weight in (0, 2], or two of them that ascend, got 0.0"),
        (lambda: Fixed(rate=1.1), "rate in [0, 1], got 1.1"),
        (lambda: JADE(pace=0.0), "pace in (0, 1], got 0.0"),
        (lambda: SHADE(history=0), "history >= 1, got 0"),
        (lambda: Mutation("worst"), "one of current, random, best, good, not 'worst'"),
        (lambda: Mutation("best", pairs=0), "pairs >= 1, got 0"),
        (lambda: ParticleSwarm(topology="star"), "no topology 'star'; write one of global"),
        (lambda: ParticleSwarm(inertia=-0.5), "inertia > 0, got -0.5"),
    ],
)
def test_wrong_hyperparameters_get_a_sentence(make, words):
    with pytest.raises(InvalidValue) as error:
        make()
    assert words in str(error.value)
