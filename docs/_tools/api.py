"""One API page for every public module or package directly under `descend`, made from the source.

Nobody has to remember to add a page: what is in `__all__` is documented. A package's page shows its docstring
and then each of its public files, so everything appears once, beside the idea that its file explains. The
first page lists the names of the façade with what they are in a line each.
"""

from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File

SOURCE = Path(__file__).parents[2] / "src"


def load() -> griffe.Module:
    """The package as it is written, without importing it."""
    return griffe.load("descend", search_paths=[str(SOURCE)], resolve_aliases=True)  # type: ignore[return-value]


def files_of(module: griffe.Module) -> list[griffe.Module]:
    """The public files directly under a package, by name."""
    public = (child for name, child in sorted(module.modules.items()) if not name.startswith("_"))
    return [child for child in public if not child.is_alias]


def directive(module: griffe.Module, level: int) -> str:
    """What asks mkdocstrings for one module; of an `__init__.py` it wants only the docstring."""
    options = [f"heading_level: {level}", "show_root_full_path: true"]
    if module.is_init_module:
        options.append("members: false")
    return "\n".join([f"::: {module.path}", "    options:", *(f"        {option}" for option in options)])


def page(module: griffe.Module, level: int = 1) -> str:
    """The page of one module or package, its files below it."""
    return "\n\n".join([directive(module, level), *(page(child, level + 1) for child in files_of(module))])


def first_page(package: griffe.Module) -> str:
    """The names that `import descend as dd` gives, each with the first line of its docstring."""
    rows = []
    for name in sorted(package.exports or [], key=str):
        member = package.members.get(str(name))
        if member is not None and member.docstring is not None:
            path = member.final_target.path if isinstance(member, griffe.Alias) else member.path
            summary = member.docstring.value.strip().splitlines()[0].replace("|", "\\|")
            rows.append(f"| [`dd.{name}`][{path}] | {summary} |")
    table = ["| name | what it is |", "|---|---|", *rows] if rows else []
    return "\n".join(["# The names", "", "`import descend as dd` gives these names.", "", *table, ""])


def on_config(config: Any, **_: Any) -> None:
    """Called by mkdocs with its configuration: the pages are added to the navigation."""
    names = [child.name for child in files_of(load())]
    config.nav.append({"API": ["api/index.md", *({f"descend.{name}": f"api/{name}.md"} for name in names)]})


def on_files(files: Any, config: Any, **_: Any) -> None:
    """Called by mkdocs with the files of the site: the pages are added to them."""
    package = load()
    pages = {"index": first_page(package), **{child.name: page(child) for child in files_of(package)}}
    for name, content in pages.items():
        files.append(File.generated(config, f"api/{name}.md", content=content))
