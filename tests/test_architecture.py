"""The house keeps its floor plan: a walk over the syntax trees of src/descend, which imports nothing of it.

Each rule is a function from a module to the sentences that say what is wrong with it. `BROKEN` holds a source
for every way in which a rule can be broken, so that none passes because it looks at nothing.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from symtable import symtable
from textwrap import indent

import pytest

Function = ast.FunctionDef | ast.AsyncFunctionDef

SOURCE = Path(__file__).parents[1] / "src" / "descend"

# Imports run from a row to itself and the rows above it, never to a row below. "" is descend/__init__.py.
RANKS = (
    {"key", "tree", "errors", "noise"},
    {"direction", "layout", "space", "oracle"},
    {"estimate", "transform", "step"},
    {"descent", "population", "pareto", "direct", "model", "faces", "parallel", "quantize"},
    {"portfolio"},
    {"log"},
    {"run"},
    {"study"},
    {"probe", "apps", "problems", "plot", "bench", "board", "testing"},
    {"", "torch_optim", "hf", "sklearn", "optuna", "ray", "cli"},
)
# Nothing depends on these but the rooms named beside them.
LEAVES = {
    "bench": {"cli"},
    "torch_optim": {"", "hf"},
    "hf": {""},
    "sklearn": {""},
    "optuna": {""},
    "ray": {""},
    "cli": set(),
}

# Where a package that is not always there, or that writes to the terminal, may be imported.
ALWAYS = {"descend", "torch", "numpy"}
HOMES = {
    "matplotlib": ("plot/_mpl.py",),
    "PIL": ("plot/_mpl.py",),
    # one file of kernels beside each definition in torch, and the vector intrinsics that they share
    "numba": ("noise/cpu.py", "noise/cpu_rounding.py", "noise/vector.py", "oracle/intercept/compiled.py"),
    "llvmlite": ("noise/vector.py",),  # numba's own
    "triton": ("noise/cuda.py",),
    "sklearn": ("sklearn.py", "sklearn/", "plot/study/_forest.py"),
    "optuna": ("optuna/_library.py", "faces/optuna.py"),
    "sqlalchemy": ("log/_sql.py",),
    "joblib": ("sklearn/_library.py",),
    "plotly": ("plot/study/_plotly.py",),
    "pandas": ("log/export.py", "study/looking.py"),
    "pyarrow": ("log/export.py",),
    "starlette": ("board/",),
    "uvicorn": ("board/",),
    "botorch": ("faces/botorch.py",),
    "gpytorch": ("faces/botorch.py",),
    "ray": ("ray.py",),
    "rich": ("run/report.py", "cli/screen.py"),
    "typer": ("cli/",),
    "moocore": ("pareto/indicators.py",),
    # faces of other libraries, a file each
    "scipy": ("faces/scipy.py",),
    "cma": ("faces/pycma.py",),
    "nevergrad": ("faces/nevergrad.py",),
    "pymoo": ("faces/pymoo.py",),
    "nlopt": ("faces/nlopt.py",),
}
PRINTERS = ("run/report.py", "cli/show.py")

LONGEST_FILE = 400
LONGEST_FUNCTION = 60  # lines of code; the docstring may be as long as it has to be
NAMED_BY_THE_USER = {"descend.space.core.Space.__init__"}  # its arguments are the names of parameters
LONG_FUNCTIONS: dict[str, str] = {}  # "descend.module.Class.function": why it is better whole

# What draws from a generator that nobody passed.
AMBIENT_TORCH = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson", "binomial"),
    *("rand_like", "randn_like", "randint_like"),
}
AMBIENT_METHODS = {
    *("normal_", "uniform_", "random_", "bernoulli_", "exponential_", "cauchy_", "log_normal_", "geometric_"),
    "bernoulli",
}
RESEEDS = {"torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.random.seed"}
OWN_STATE = {"Generator", "SeedSequence", "Philox", "PCG64", "default_rng", "Random", "RandomState"}  # if given a seed


@dataclass(frozen=True)
class Module:
    """A file of the package: its path under src/descend and its text."""

    path: str
    text: str

    @cached_property
    def name(self) -> str:
        parts = self.path.removesuffix(".py").removesuffix("__init__").split("/")
        return ".".join(["descend", *filter(None, parts)])

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        return room_of(self.name)

    @property
    def public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))


Package = dict[str, Module]


def package(*modules: Module) -> Package:
    return {module.name: module for module in modules}


def room_of(name: str) -> str:
    """What stands under `descend` in a dotted name; "" for the façade."""
    return [*name.split("."), ""][1]


HERE = package(
    *(
        Module(file.relative_to(SOURCE).as_posix(), file.read_text(encoding="utf-8"))
        for file in sorted(SOURCE.rglob("*.py"))
    )
)


# What the rules see of a module


def imports(module: Module, known: Package, types_too: bool = True) -> Iterator[tuple[str, int]]:
    """Every imported module with its line, wherever the import stands; `from a import b` is a.b if a file."""
    skipped = set() if types_too else {id(n) for part in type_checking(module) for n in ast.walk(part)}
    parent = module.name if module.path.endswith("__init__.py") else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            base = resolve_name("." * node.level + (node.module or ""), parent)
            names = (f"{base}.{alias.name}" for alias in node.names)
            yield from ((name if name in known else base, node.lineno) for name in names)


def type_checking(module: Module) -> Iterator[ast.stmt]:
    """The statements under `if TYPE_CHECKING:`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from node.body


def functions(module: Module) -> Iterator[tuple[str, Function]]:
    """The functions of a module and its classes, with their dotted names; none inside other functions."""

    def within(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
        for node in body:
            if isinstance(node, Function):
                yield f"{prefix}.{node.name}", node
            elif isinstance(node, ast.ClassDef):
                yield from within(node.body, f"{prefix}.{node.name}")

    return within(module.tree.body, module.name)


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the full name of what is called, so `np.random.rand` is numpy.random.rand.

    A name that was not imported begins with a question mark, and so does what an expression gives.
    """
    aliases = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.split(".")[0]
                aliases[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom) and not node.level:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def full_name(node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return aliases.get(name, f"?{name}")
            case ast.Attribute(value=value, attr=attribute):
                return f"{full_name(value)}.{attribute}"
        return "?"

    return ((full_name(node.func), node) for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def code_lines(node: Function) -> int:
    """How many lines a function has, without its docstring."""

    def height(part: ast.stmt) -> int:
        return (part.end_lineno or part.lineno) - part.lineno + 1

    return height(node) - (height(node.body[0]) if ast.get_docstring(node) is not None else 0)


def exported(module: Module) -> list[str] | None:
    """The literal `__all__`, or None."""
    for node in module.tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=ast.expr() as names)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as names)
            ):
                return list(ast.literal_eval(names))
    return None


def bound(module: Module) -> set[str]:
    """The names that a module binds at its top."""
    symbols = symtable(module.text, module.path, "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


# The rules of one module


def imports_follow_the_plan(module: Module, known: Package) -> Iterator[str]:
    rank = {room: number for number, row in enumerate(RANKS) for room in row}
    if module.room not in rank:
        yield f"{module.path}: {module.room!r} is not on the floor plan; put it into RANKS"
        return
    for name, line in imports(module, known):
        if name.split(".")[0] == "descend" and room_of(name) != module.room:
            if rank.get(room_of(name), len(RANKS)) > rank[module.room]:
                yield f"{module.path}:{line}: imports {name}, of a higher rank; move what is shared down"
            if module.room not in LEAVES.get(room_of(name), {module.room}):
                yield f"{module.path}:{line}: imports {name}, on which nothing may depend"


def packages_stay_at_home(module: Module, known: Package) -> Iterator[str]:
    for name, line in imports(module, known, types_too=False):
        top = name.split(".")[0]
        homes = ("",) if top in ALWAYS | sys.stdlib_module_names else HOMES.get(top, ())
        if not module.path.startswith(homes):
            yield f"{module.path}:{line}: imports {top}; its home is {' or '.join(homes) or 'nowhere'}"


def all_is_complete(module: Module, known: Package) -> Iterator[str]:
    listed = exported(module)
    if not module.public:
        return
    if listed is None:
        yield f"{module.path}: has no __all__; list its public names there"
        return
    files = {name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == module.name}
    for name in sorted(set(listed) - bound(module) - files):
        yield f"{module.path}: {name!r} is in __all__ and nowhere else"
    own = {node.name for node in module.tree.body if isinstance(node, Function | ast.ClassDef)}
    for name in sorted(own - set(listed)):
        if not name.startswith("_"):
            yield f"{module.path}: {name!r} is public and not in __all__"


def arguments_have_names(module: Module, known: Package) -> Iterator[str]:
    for name, node in functions(module) if module.public else ():
        private = any(part.startswith("_") and not part.endswith("__") for part in name.split("."))
        if node.args.kwarg and not private and name not in NAMED_BY_THE_USER:
            yield f"{module.path}:{node.lineno}: {name} takes **{node.args.kwarg.arg}; name its arguments"


def code_stays_short(module: Module, known: Package) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > LONGEST_FILE:
        yield f"{module.path}: {lines} lines, more than {LONGEST_FILE}; one idea per file"
    for name, node in functions(module):
        if (length := code_lines(node)) > LONGEST_FUNCTION and name not in LONG_FUNCTIONS:
            yield f"{module.path}:{node.lineno}: {name} has {length} lines, more than {LONGEST_FUNCTION}"


def only_the_report_prints(module: Module, known: Package) -> Iterator[str]:
    for name, call in calls(module):
        if name in {"?print", "sys.stdout.write", "sys.stderr.write"} and module.path not in PRINTERS:
            yield f"{module.path}:{call.lineno}: prints; only {' and '.join(PRINTERS)} do"


def randomness_is_passed(module: Module, known: Package) -> Iterator[str]:
    for name, call in calls(module):
        owner, _, function = name.rpartition(".")
        passed = any(keyword.arg == "generator" for keyword in call.keywords)
        drawn = function in AMBIENT_TORCH if owner == "torch" else function in AMBIENT_METHODS
        seeded = function in OWN_STATE and bool(call.args or call.keywords)
        if (drawn and not passed) or name in RESEEDS or (owner in {"random", "numpy.random"} and not seeded):
            yield f"{module.path}:{call.lineno}: {function} draws from no Key; pass generator="


Rule = Callable[[Module, Package], Iterator[str]]
RULES: list[Rule] = [
    imports_follow_the_plan,
    packages_stay_at_home,
    all_is_complete,
    arguments_have_names,
    code_stays_short,
    only_the_report_prints,
    randomness_is_passed,
]


def cycle(known: Package, part: Callable[[str], str]) -> str:
    """One import cycle among parts of the package, or nothing; imports for type checkers make none."""
    graph: dict[str, set[str]] = {part(name): set() for name in known}
    for name, module in known.items():
        targets = {part(target) for target, _ in imports(module, known, types_too=False) if target in known}
        graph[part(name)] |= targets - {part(name)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return " -> ".join(found.args[1])
    return ""


# The package keeps the rules


def test_the_package_is_where_the_rules_look() -> None:
    assert {"descend.key", "descend.errors"} <= set(HERE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps(rule: Rule) -> None:
    broken = [sentence for module in HERE.values() for sentence in rule(module, HERE)]
    assert not broken, "\n".join(["", *broken])


@pytest.mark.parametrize("part", [str, room_of], ids=["files", "rooms"])
def test_imports_make_no_cycle(part: Callable[[str], str]) -> None:
    assert not cycle(HERE, part)


def test_every_exception_for_a_long_function_is_needed() -> None:
    lengths = {name: code_lines(node) for module in HERE.values() for name, node in functions(module)}
    assert not {name for name in LONG_FUNCTIONS if lengths.get(name, 0) <= LONGEST_FUNCTION}


# The rules can be broken

LONG = "def f():\n" + "    x = 1\n" * 60
BROKEN: list[tuple[Rule, str, str, str]] = [
    (imports_follow_the_plan, "key.py", "from descend.oracle import Oracle", "oracle"),
    (imports_follow_the_plan, "noise/law.py", "def f():\n    from ..run import loop", "run"),
    (imports_follow_the_plan, "oracle/core.py", "import descend", "higher rank"),
    (imports_follow_the_plan, "plot/trace.py", "from descend.bench import race", "nothing may depend"),
    (imports_follow_the_plan, "helpers.py", "", "not on the floor plan"),
    (packages_stay_at_home, "noise/law.py", "import numba", "noise/cpu.py"),
    (packages_stay_at_home, "oracle/core.py", "def f():\n    from networkx import Graph", "nowhere"),
    (packages_stay_at_home, "run/loop.py", "import matplotlib.pyplot as plt", "plot/_mpl.py"),
    (all_is_complete, "key.py", "x = 1", "no __all__"),
    (all_is_complete, "key.py", "__all__ = ['Key']", "nowhere else"),
    (all_is_complete, "key.py", "__all__ = []\nclass Key: ...", "not in __all__"),
    (arguments_have_names, "key.py", "def f(**options): ...", "descend.key.f takes **options"),
    (arguments_have_names, "key.py", "class A:\n    def __init__(self, **k): ...", "A.__init__"),
    (code_stays_short, "key.py", "x = 1\n" * 401, "401 lines"),
    (code_stays_short, "key.py", LONG, "has 61 lines"),
    (code_stays_short, "key.py", "class A:\n" + indent(LONG, "    "), "key.A.f"),
    (only_the_report_prints, "run/loop.py", "def f():\n    print('done')", "run/loop.py:2"),
    (only_the_report_prints, "run/loop.py", "import sys\nsys.stdout.write('done')", "prints"),
    (randomness_is_passed, "key.py", "import torch\ntorch.randn(3)", "randn draws"),
    (randomness_is_passed, "key.py", "from torch import randperm as p\np(3)", "randperm draws"),
    (randomness_is_passed, "key.py", "import torch\ntorch.manual_seed(0)", "manual_seed draws"),
    (randomness_is_passed, "key.py", "def f(x):\n    return x.normal_()", "normal_"),
    (randomness_is_passed, "key.py", "import numpy as np\nnp.random.rand(3)", "rand draws"),
    (randomness_is_passed, "key.py", "import numpy as np\nnp.random.default_rng()", "default_rng"),
    (randomness_is_passed, "key.py", "import random\nrandom.random()", "random draws"),
]
KEPT: list[tuple[Rule, str, str]] = [
    (imports_follow_the_plan, "run/loop.py", "from descend.key import Key\nimport torch"),
    (imports_follow_the_plan, "cli.py", "import descend\nfrom descend.bench import race"),
    (packages_stay_at_home, "noise/cpu.py", "import numba"),
    (packages_stay_at_home, "plot/_mpl.py", "import torch, math\nfrom matplotlib.figure import Figure"),
    (all_is_complete, "key.py", "__all__ = ['Key', 'SEED']\nclass Key: ...\ndef _f(): ...\nSEED: int = 1"),
    (all_is_complete, "noise/__init__.py", "from descend.noise.law import Law\n__all__ = ['Law']"),
    (all_is_complete, "noise/__init__.py", "__all__: list[str] = []"),
    (all_is_complete, "_private.py", "def f(): ..."),
    (arguments_have_names, "key.py", "def _f(**options): ...\ndef g(*, a=1): ..."),
    (code_stays_short, "key.py", LONG.replace("    x = 1\n", '    """' + "\n    more" * 60 + '"""\n', 1)),
    (only_the_report_prints, "run/report.py", "print('done')"),
    (
        randomness_is_passed,
        "key.py",
        "import torch\ntorch.randn(3, generator=torch.Generator().manual_seed(0))",
    ),
    (
        randomness_is_passed,
        "key.py",
        "import numpy as np\ndef f(random):\n    random.draw(np.random.default_rng(3))",
    ),
]


@pytest.mark.parametrize(("rule", "path", "text", "sentence"), BROKEN)
def test_a_rule_that_is_broken_is_noticed(rule: Rule, path: str, text: str, sentence: str) -> None:
    assert sentence in "\n".join(rule(Module(path, text), {}))


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_a_rule_that_is_kept_says_nothing(rule: Rule, path: str, text: str) -> None:
    assert not list(rule(Module(path, text), {}))


def test_a_cycle_is_noticed_and_imports_for_types_make_none() -> None:
    law, cpu = Module("noise/law.py", "from . import cpu"), Module("noise/cpu.py", "import descend.noise.law")
    types = Module("noise/cpu.py", "if TYPE_CHECKING:\n    import descend.noise.law")
    assert "descend.noise.cpu" in cycle(package(law, cpu), str)
    assert not cycle(package(law, types), str)
    oracle = [Module("oracle/a.py", "import descend.layout.a"), Module("oracle/b.py", "")]
    layout = [Module("layout/b.py", "import descend.oracle.b"), Module("layout/a.py", "")]
    assert "oracle" in cycle(package(*oracle, *layout), room_of)
    assert not cycle(package(*oracle, *layout), str)


def test_every_rule_is_shown_broken_and_kept() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES) == {rule for rule, *_ in KEPT}
