"""The facade: every name it lists exists, is typed, and is imported only when it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import descend as dd


def test_every_name_is_there_and_listed_once():
    assert len(dd.__all__) == len(set(dd.__all__))
    assert set(dd.__all__) == set(dd._ROOM_OF) | set(dd._SUBMODULES)
    for name in dd.__all__:
        assert getattr(dd, name) is not None
    assert set(dir(dd)) == set(dd.__all__)


def test_what_type_checkers_see_is_what_there_is():
    tree = ast.parse(Path(dd.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(seen) == set(dd.__all__)
    for name, room in dd._ROOM_OF.items():
        assert seen[name] == f"descend.{room}"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Adams'"):
        dd.Adams  # noqa: B018


def test_importing_the_facade_imports_no_room():
    script = "import sys, descend; print([m for m in sys.modules if m.startswith('descend.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_optional_packages_are_not_needed_to_start():
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'numba', 'sklearn', 'scipy', 'PIL']))\n"
        "import descend as dd; [getattr(dd, n) for n in dd._ROOM_OF]\n"
        "print(dd.minimize(lambda x: ((x - 1) ** 2).sum(), [3.0], key=0).fun < 1e-8)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
