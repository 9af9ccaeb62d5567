"""The commands and their options. What is typed wrongly gets a sentence on the standard error and exit status 2.

What a command needs is imported where it begins, so that those that need no torch do not wait for it.
"""

import math
import signal
import sys
from typing import Annotated, Any

import typer

from descend.cli.show import INTERRUPTED, say
from descend.cli.studies import register
from descend.errors import DescendError, InvalidValue

__all__ = ["app", "main", "minimize"]


app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
    help="Minimize anything: with gradients, without them, or with estimates of them.",
)  # fmt: skip


def _option(names: str, text: str) -> Any:
    return typer.Option(*names.split(), help=text, show_default=False)


_Words = list[str]
_Floats = Annotated[_Words, _option("--float", "NAME=LOW:HIGH, a real number between two sides; NAME, any.")]
_Ints = Annotated[_Words, _option("--int", "NAME=LOW:HIGH, a whole number, both sides included.")]
_Choices = Annotated[_Words, _option("--choice", "NAME=ONE,TWO,..., one of these, without an order.")]
_Ordinals = Annotated[_Words, _option("--ordinal", "NAME=LOW,MIDDLE,..., one of these, in this order.")]
_Bools = Annotated[_Words, _option("--bool", "NAME, true or false.")]
_Logs = Annotated[_Words, _option("--log", "NAME of a --float or --int that is searched by orders of magnitude.")]
_Logits = Annotated[_Words, _option("--logit", "NAME of a --float in (0, 1) that is searched by orders at both ends.")]
_Steps = Annotated[_Words, _option("--step", "NAME=NUMBER, a grid from the lower side on.")]
_SpaceFile = Annotated[str | None, _option("--space", "FILE with a space as JSON, instead of all of these.")]
_Evaluations = Annotated[int, _option("--evaluations -n", "How many in all, those of a study included (100).")]
_Seconds = Annotated[float | None, _option("--seconds", "Begin no evaluation after so many.")]
_Target = Annotated[float | None, _option("--target", "Stop when the loss is there.")]
_Workers = Annotated[int, _option("--workers -w", "How many evaluations at once (1).")]
_TimeLimit = Annotated[float | None, _option("--time-limit", "Seconds that one evaluation may take.")]
_Method = Annotated[str | None, _option("--method", "NAME or call, such as 'CMAES(popsize=20)' (chosen for you).")]
_Seed = Annotated[int, _option("--seed", "Another number, another run (0).")]
_StudyFile = Annotated[str | None, _option("--study", "FILE of the log; the same line again goes on from there.")]
_Maximize = Annotated[bool, _option("--maximize", "The greatest instead of the least.")]
_JsonPath = Annotated[str | None, _option("--json", "PATH of the loss in the output, such as metrics.loss.")]
_Pattern = Annotated[str | None, _option("--regex", "What stands around the loss, such as 'loss=(.*)'; the last one.")]
_ExitCode = Annotated[bool, _option("--exit-code", "The exit code is the loss.")]
_Env = Annotated[_Words, _option("--env", "NAME=TEXT, a variable for the program; {parameters} may stand in it.")]
_Stdin = Annotated[str | None, _option("--stdin", "TEXT for the standard input; {parameters} may stand in it.")]
_Directory = Annotated[str | None, _option("--directory", "FOLDER in which every evaluation has one of its own.")]
_Keep = Annotated[bool, _option("--keep", "Keep those folders.")]
_Quiet = Annotated[bool, _option("--quiet -q", "No table while it runs.")]


@app.callback()
def _all_commands() -> None:
    # with a callback, a single command keeps its name
    pass


@app.command()
def minimize(
    objective: Annotated[str, typer.Argument(help="A command with {parameters}, or file.py:function.")],
    float_: _Floats = [],  # noqa: B006  # typer copies it
    int_: _Ints = [],  # noqa: B006
    choice: _Choices = [],  # noqa: B006
    ordinal: _Ordinals = [],  # noqa: B006
    bool_: _Bools = [],  # noqa: B006
    log: _Logs = [],  # noqa: B006
    logit: _Logits = [],  # noqa: B006
    step: _Steps = [],  # noqa: B006
    space: _SpaceFile = None,
    evaluations: _Evaluations = 100,
    seconds: _Seconds = None,
    target: _Target = None,
    workers: _Workers = 1,
    time_limit: _TimeLimit = None,
    method: _Method = None,
    seed: _Seed = 0,
    study: _StudyFile = None,
    maximize: _Maximize = False,
    json: _JsonPath = None,
    regex: _Pattern = None,
    exit_code: _ExitCode = False,
    env: _Env = [],  # noqa: B006
    stdin: _Stdin = None,
    directory: _Directory = None,
    keep: _Keep = False,
    quiet: _Quiet = False,
) -> None:
    """Search for the parameters at which a program, or a Python function, gives the least number.

    The program is given its parameters where {name} stands in the command, and writes its loss on the last line of its
    output. A function is given a dict and returns its loss.

    \b
    descend minimize "python sim.py --a {a} --n {n}" --float a=0:1 --int n=1:64 --log n
    descend minimize model.py:loss --float lr=1e-5:1 --log lr --choice kernel=rbf,poly --workers 4
    """
    _check(workers, time_limit, study, method)
    goal = None if target is None else -target if maximize else target
    try:
        from descend.cli.session import Job, Outside, reading, run
        from descend.cli.words import Parameters, pairs, space_of
        from descend.run.drive import Limits

        words = Parameters(float_, int_, choice, ordinal, bool_, log, logit, step)
        outside = Outside(reading(json, regex, exit_code), pairs("--env", "NAME=TEXT", env), stdin, directory, keep)
        job = Job(
            objective, space_of(words, space), Limits(evaluations, seconds, goal),
            method or f"Portfolio(workers={workers})", seed, outside, workers, time_limit, study, maximize, quiet,
            chosen=method is None,
        )  # fmt: skip
        status = run(job)
    except KeyboardInterrupt:
        status = INTERRUPTED
    raise typer.Exit(status)


register(app)


def main() -> None:
    """The program ``descend``: exit status 2 and a sentence where it is used wrongly, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _leave)
    try:
        app(prog_name="descend")
    except DescendError as error:
        say(str(error))
        sys.exit(2)


def _leave(number: int, frame: Any) -> None:
    # an exception, so that programs and workers are ended on the way out
    sys.exit(128 + number)


def _check(workers: int, time_limit: float | None, study: str | None, method: str | None) -> None:
    """What others would refuse in the words of Python."""
    if workers < 1:
        raise InvalidValue(f"--workers {workers}: at least one evaluation is made at once; write --workers 4")
    if time_limit is not None and not 0 < time_limit < math.inf:
        raise InvalidValue(f"--time-limit {time_limit:g}: it must be a number of seconds > 0; write --time-limit 60")
    for option, text, example in (("--study", study, "runs.db"), ("--method", method, "CMAES")):
        if text is not None and not text.strip():
            raise InvalidValue(f"{option} {text!r} names nothing; write {option} {example}, or leave it out")
