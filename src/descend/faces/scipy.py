"""SciPy's derivative-free minimizers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from descend.errors import CompositionError, InvalidValue
from descend.faces.base import Face, Talk, in_thread, library, seed, sides, told
from descend.key import Key
from descend.space.domain import Domain

__all__ = ["SciPy"]

_MANY = 10**9
_LOCAL: dict[str, dict[str, Any]] = {  # of scipy.optimize.minimize; what must be said so that the budget alone decides
    "BFGS": {"maxiter": _MANY},
    "CG": {"maxiter": _MANY},
    "COBYLA": {"maxiter": _MANY},
    "COBYQA": {"maxfev": _MANY, "maxiter": _MANY},
    "L-BFGS-B": {"maxfun": _MANY, "maxiter": _MANY},
    "Nelder-Mead": {"maxfev": _MANY, "maxiter": _MANY},
    "Powell": {"maxfev": _MANY, "maxiter": _MANY},
    "SLSQP": {"maxiter": _MANY},
    "TNC": {"maxfun": _MANY},
}
_UNBOUNDED = {"BFGS", "CG"}  # these know no bounds
_LOCKING = {"COBYQA"}  # SciPy lets one run at a time
_GLOBAL: dict[str, dict[str, Any]] = {  # functions of scipy.optimize
    "basinhopping": {"niter": _MANY},
    "differential_evolution": {"maxiter": _MANY},
    "direct": {"maxfun": 10**5, "maxiter": 10**4},  # it makes room for all of them at once, and overflows at more
    "dual_annealing": {"maxiter": _MANY, "maxfun": _MANY},
    "shgo": {},
}
_BY_START = {"basinhopping"}  # these begin at x and know no bounds
_RANDOM = {"basinhopping", "differential_evolution", "dual_annealing"}


@dataclass(frozen=True)
class SciPy(Face):
    """A minimizer of SciPy, by its name.

    Args:
        name: one of `scipy.optimize.minimize` (BFGS, CG, L-BFGS-B, SLSQP and TNC with SciPy's own differences; COBYLA,
            COBYQA, Nelder-Mead, Powell), or a function of `scipy.optimize`: basinhopping, differential_evolution,
            direct, dual_annealing, shgo. Default differential_evolution.
        options: what SciPy calls options of the first, and arguments of the others; default SciPy's own, but for its
            limits of iterations and evaluations, which are lifted. With ``{"vectorized": True, "updating":
            "deferred"}`` differential_evolution asks a generation at a time.

    BFGS, CG and basinhopping know no bounds; the other functions need them. It runs in a thread of its own, with two
    switches an evaluation. SciPy runs one COBYQA at a time: of several that are under way each begins again, with the
    answers it has had, when its turn comes.

    Raises:
        InvalidValue: there is no such minimizer; or, at the start, it needs bounds and has none.
        CompositionError: at the start, it has bounds and knows none.
        MissingExtra: SciPy is not installed.

    >>> from descend.oracle import Function
    >>> import torch
    >>> method, x = SciPy("Powell"), torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> state, f = method.init(x, Key(0)), Function(lambda x: (x - 3).square().sum())
    >>> while not state.done:
    ...     state = method.advance(f, state)
    >>> [round(x, 6) for x in state.x.tolist()], state.done
    ([3.0, 3.0], 'Powell: Optimization terminated successfully.')
    """

    name: str = "differential_evolution"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in _LOCAL | _GLOBAL:
            raise InvalidValue(f"SciPy has no minimizer {self.name!r} here; write one of {sorted(_LOCAL | _GLOBAL)}")
        library("scipy.optimize", "scipy", "scipy")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        optimize = library("scipy.optimize", "scipy", "scipy")
        if domain.bounded and self.name in _UNBOUNDED | _BY_START:
            raise CompositionError(f"SciPy's {self.name} knows no bounds; write SciPy('L-BFGS-B') or SciPy('COBYQA')")
        call = self._local(optimize, x, domain) if self.name in _LOCAL else self._global(optimize, x, domain, key)

        def run(objective: Callable[[np.ndarray], np.ndarray]) -> str:
            def f(x: np.ndarray) -> Any:
                if x.ndim == 2:  # vectorized: (d, m)
                    return objective(x.T)
                return float(objective(x[None])[0])

            message = call(f).message
            return f"{self.name}: {message if isinstance(message, str) else ' '.join(message)}"

        return in_thread(run, lock=self.name if self.name in _LOCKING else "")

    def _local(self, optimize: Any, x: np.ndarray, domain: Domain) -> Callable[[Any], Any]:
        bounds = optimize.Bounds(told(domain.lower), told(domain.upper)) if domain.bounded else None
        options = {**_LOCAL[self.name], **self.options}
        return lambda f: optimize.minimize(f, x, method=self.name, bounds=bounds, options=options)

    def _global(self, optimize: Any, x: np.ndarray, domain: Domain, key: Key) -> Callable[[Any], Any]:
        options = {**_GLOBAL[self.name], **self.options}
        if self.name in _RANDOM:
            options = {"rng": np.random.default_rng(seed(key)), **options}
        minimizer = getattr(optimize, self.name)
        if self.name in _BY_START:
            return lambda f: minimizer(f, x, **options)
        if self.name in {"differential_evolution", "dual_annealing"}:
            options = {"x0": x, **options}
        bounds = list(zip(*sides(domain, self), strict=True))
        return lambda f: minimizer(f, bounds, **options)
