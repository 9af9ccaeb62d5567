"""What the README, CONTRIBUTING and the pages of docs/ show as Python is run as it stands.

The blocks of a file run in order, in a process of their own and an empty folder, as a reader would type them.
Blocks marked ``exec`` are left to `make docs`, which runs them and puts what they print into the page.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)```python(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)


def script(markdown: str) -> str:
    """The Python blocks of a page that are not marked ``exec``, each on the lines where it stands."""
    lines = [""] * markdown.count("\n")
    for block in BLOCK.finditer(markdown):
        if "exec=" not in block["options"]:
            first = markdown.count("\n", 0, block.start("code"))
            code = textwrap.dedent(block["code"]).splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines) + "\n" if any(lines) else ""


def run(code: str, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run the code as a file of this name in this folder."""
    (folder / name).write_text(code, encoding="utf-8")
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("page", [*filter(Path.exists, PAGES)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    done = run(script(page.read_text(encoding="utf-8")), tmp_path, page.stem + ".py")
    assert done.returncode == 0, f"{page.name} (the line numbers are the page's own):\n{done.stderr}"


PAGE = """# A page

```python
a = 1
```

```console
$ make run
```

```python exec="1" session="x"
raise RuntimeError("left to make docs")
```

1. In a list:

    ```python
    assert a == {expected}
    ```
"""


def test_blocks_share_names_and_keep_their_lines(tmp_path: Path) -> None:
    assert run(script(PAGE.format(expected=1)), tmp_path, "page.py").returncode == 0


def test_a_block_that_fails_is_found_with_its_line(tmp_path: Path) -> None:
    done = run(script(PAGE.format(expected=2)), tmp_path, "page.py")
    assert done.returncode == 1
    assert 'File "' in done.stderr
    assert "line 18" in done.stderr


def test_a_page_without_blocks_has_no_script() -> None:
    assert script("# Text\n\n```console\n$ make\n```\n") == ""
