"""The facade, and the rooms that are like it: every name exists, is typed, and is imported only when it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import descend as dd
from descend import space, study


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


@pytest.mark.parametrize("room", [space, study])
def test_a_room_that_imports_its_files_when_they_are_used_has_all_of_its_names(room):
    assert set(room._FILE_OF) == set(room.__all__) == set(dir(room))
    block = next(node for node in ast.parse(Path(room.__file__).read_text()).body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: f"{room.__name__}.{file}" for name, file in room._FILE_OF.items()}
    for name in room.__all__:
        assert room.__getattr__(name) is vars(sys.modules[seen[name]])[name]
    with pytest.raises(AttributeError, match="'Wall'"):
        room.Wall  # noqa: B018


def test_a_space_is_read_by_a_process_that_knows_no_kind_of_parameter_yet():
    whole = dd.Space(
        a=dd.Array(dd.Float(0, 1), 2), b=dd.Bool(), c=dd.Choice("x", ("y", 1)), i=dd.Int(1, 9, log=True),
        o=dd.Ordinal(1, 2), p=dd.Permutation(3), r=dd.Row(dd.Int(1, 2), dd.Bool()), s=dd.Simplex(["u", "v"]),
        t=dd.Subset(["u", "v", "w"], at_most=2), w=dd.When("b", True, dd.Space(z=dd.Float(0, 1))),
    )  # fmt: skip
    script = "import sys; from descend.space import Space; print(Space.from_json(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", script, whole.to_json()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(whole)


@pytest.mark.parametrize("room", ["log", "log.export", "log.digest", "study.table", "study.mirror", "study.glance"])
def test_rooms_that_only_look_need_no_torch(room):
    script = f"import sys, descend.{room}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
