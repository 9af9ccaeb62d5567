"""The commands about studies that have been run: show, plot, report, dashboard. None of them writes into a study.

`show` needs no torch; what the others need is imported once the file is known to be one of studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from descend.cli.show import say, study_lines, study_rows
from descend.errors import InvalidValue
from descend.log.store import Store
from descend.study.glance import Glance

__all__ = ["dashboard", "plot", "register", "report", "show"]

_MOST = 30  # studies in a report

_Path = Annotated[str, typer.Argument(metavar="FILE", help="The file of the study, or a URL.")]
_Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of the study; not needed if there is only one.")]
_Output = Annotated[str, typer.Option("--output", "-o", help="The FILE to be written.", show_default=False)]
_Figure = Annotated[str, typer.Option(help="NAME of the picture: history, importance, slice, contour, ...")]
_Objective = Annotated[int, typer.Option(help="NUMBER of the objective, from 0.")]
_Host = Annotated[str, typer.Option(help="ADDRESS to listen at; other machines can reach 0.0.0.0.")]
_Port = Annotated[int, typer.Option(help="NUMBER of the port; 0 takes any that is free.")]
_AllowHost = Annotated[
    list[str], typer.Option("--allow-host", help="NAME by which other machines call this one.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (show, plot, report, dashboard):
        app.command()(command)


def show(file: _Path, name: _Name = None) -> None:
    """Say what is in a file of studies: all of them, or one with its best trial, its failures and its workers.

    \b
    descend show tune.db
    descend show tune.db "my study"
    """
    with _opened(file, name) as (store, names):
        studies = [Glance(store.open(each)) for each in names]
        if len(studies) == 1:
            study_lines(studies[0])
        else:
            study_rows(studies)


def plot(
    file: _Path, output: _Output, name: _Name = None, figure: _Figure = "history", objective: _Objective = 0
) -> None:
    """Draw a picture of a study into a PNG, SVG or PDF file, or into an HTML page.

    \b
    descend plot tune.db -o tune.png
    descend plot tune.db "my study" --figure importance -o importance.svg
    """
    with _studies(file, name) as studies:
        from descend.plot.study.plots import check_figure, drawn, figure_of
        from descend.plot.study.view import View

        check_figure(figure)
        made = figure_of(View.of(_only(file, studies)), figure, objective)
    if Path(output).suffix.lower() in (".html", ".htm"):
        with _writing(output):
            drawn(made, "plotly").write_html(output, include_plotlyjs="directory")
        return
    from descend.plot import save

    with _writing(output):
        save(drawn(made, "matplotlib"), output)


def report(file: _Path, output: _Output = "report.html", name: _Name = None) -> None:
    """Write a page about a study, or about all in the file, that opens without a server.

    \b
    descend report tune.db -o tune.html
    """
    with _studies(file, name) as studies:
        if len(studies) > _MOST:
            raise InvalidValue(
                f"{file} has {len(studies)} studies, too many for a page; write the name of one behind it"
            )
        from descend.board.report import report as written

        path = written(studies, output)
    say(f"{path} is written; it needs plotly.min.js beside it")


def dashboard(
    file: _Path,
    port: _Port = 8080,
    host: _Host = "127.0.0.1",
    allow_host: _AllowHost = [],  # noqa: B006  # typer copies it
) -> None:
    """Serve a page over the studies of a file that follows them as they run. It reads only; Ctrl-C ends it.

    \b
    descend dashboard tune.db
    """
    from descend.board.server import dashboard as served

    served(file, host, port, allow_host, ready=lambda url: say(f"the page is at {url}, Ctrl-C ends it"))


@contextmanager
def _opened(file: str, name: str | None) -> Iterator[tuple[Store, list[str]]]:
    """A file, open for reading, and this name, or those of all studies in it.

    Raises:
        InvalidValue: there is no such file, it is no study's, or there is no study in it.
    """
    if "://" not in file and not Path(file).exists():
        raise InvalidValue(f"there is no file {file}; write the path of a study that has been run")
    with Store(file, readonly=True) as store:
        names = store.names()
        if not names:
            raise InvalidValue(f"there is no study in {file} yet; run one first")
        if name is not None and name not in names:
            raise InvalidValue(f"{file} has no study {name!r}; there are {', '.join(map(repr, names))}")
        yield store, names if name is None else [name]


@contextmanager
def _studies(file: str, name: str | None) -> Iterator[list[Any]]:
    """The study of this name, or all that are in the file, open for reading.

    Raises:
        InvalidValue: as of `_opened`.
    """
    with _opened(file, name) as (_, names):
        pass
    from descend.study import Study

    studies: list[Any] = []
    try:
        for each in names:
            studies.append(Study(file, each, readonly=True))
        yield studies
    finally:
        for study in studies:
            study.close()


def _only(file: str, studies: Sequence[Any]) -> Any:
    if len(studies) > 1:
        names = ", ".join(repr(study.name) for study in studies)
        raise InvalidValue(f"{file} has {len(studies)} studies; write the name of one behind it: {names}")
    return studies[0]


@contextmanager
def _writing(output: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidValue(f"{output} cannot be written: {error.strerror}; does its folder exist?") from None
