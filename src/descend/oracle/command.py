"""Any program as an objective: its parameters go in as arguments, environment or input, a number comes out.

There is no shell. The command is split into arguments first, and values are put into them afterwards, so a value is
never more than (a part of) one argument, whatever is in it.
"""

import atexit
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from descend.errors import EvaluationFailed, InvalidValue
from descend.oracle.reading import LastLine, Reading
from descend.oracle.template import EVERYTHING, HERE, Template, parameter_names
from descend.space.core import Space, as_space

__all__ = ["Command", "end_programs"]

_MOST = 2**26
"""Bytes of an output that are read, from its end."""

_TAIL = 400
"""Characters of the standard error that a failure quotes."""

_under_way: set["subprocess.Popen[bytes]"] = set()
_changing = threading.Lock()


@dataclass(frozen=True)
class Command:
    """A program as an objective: ``minimize(Command("python sim.py --a {a}", space), space)``.

    Several at a time run in ``executor=Threads(n)``, since each is a process of its own.

    Args:
        command: a text, split as a shell would, or a list of arguments; with places for parameters, see `Template`:
            ``{name}``, ``{name:.3f}``, ``{*}`` for all as JSON, ``{.}`` for the folder in which the run was started.
        space: the parameters, whose names are then checked; default no check.
        read: where the loss is: `LastLine()` of the standard output (default), `Json(path)`, `Regex(pattern)` or
            `ExitCode()`. Otherwise an exit code that is not 0 is a failure, told with the end of the standard error.
        seconds: how long it may take, > 0; default for ever. Who exceeds it is killed, with all that it has started.
        environment: variables by name, with places as in the command, added to those of this process.
        stdin: a text for its standard input, with places; default none.
        directory: a folder in which every evaluation gets a folder of its own to work in, with the parameters in
            ``point.json``; default all work where this process does.
        keep: whether those folders are kept; default they are removed.

    Raises:
        InvalidValue: a command that is empty or cannot be split, a program that is not there, a name that the space
            does not have, a parameter that stands nowhere, or another argument that cannot mean anything.

    A call raises `EvaluationFailed` where the program fails.

    >>> import sys
    >>> from descend.space import Float, Space
    >>> double = Command([sys.executable, "-c", "print(2 * {a})"], Space(a=Float(0, 1)))
    >>> double({"a": 0.125})
    0.25
    """

    command: str | Sequence[str]
    space: Any = None
    read: Reading = LastLine()
    seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    directory: str | Path | None = None
    keep: bool = False
    _arguments: tuple[Template, ...] = field(init=False, repr=False, compare=False)
    _here: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_arguments", tuple(map(Template, _split(self.command))))
        object.__setattr__(self, "_here", os.getcwd())
        number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if self.seconds is not None and not (number and 0 < self.seconds < threading.TIMEOUT_MAX):
            raise InvalidValue(f"a time limit is a number of seconds > 0, got {self.seconds!r}; write seconds=60")
        self._check_kinds()
        for name in self.environment:
            if not name or "=" in name or "\0" in name:
                raise InvalidValue(f"{name!r} is no name of an environment variable; write environment={{'NAME': ...}}")
        self._check_program()
        if self.space is not None:
            self._check_names(as_space(self.space))

    @property
    def __name__(self) -> str:
        return Path(self._arguments[0].text).name

    def __call__(self, point: Any) -> float:
        """The loss at a point, a dict or the value of a single parameter x.

        Raises:
            EvaluationFailed: the program failed, took too long, or wrote no loss.
            InvalidValue: it cannot be started.
        """
        others = {HERE: self._here}
        arguments = [argument.filled(point, others) for argument in self._arguments]
        added = {name: Template(text).filled(point, others) for name, text in self.environment.items()}
        stdin = None if self.stdin is None else Template(self.stdin).filled(point, others)
        with self._folder(point) as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code, late = self._run(arguments, {**os.environ, **added}, stdin, folder, out, err)
            if late:
                raise EvaluationFailed(f"it took longer than {self.seconds:g} s and was ended")
            if code < 0:
                raise EvaluationFailed(f"it was ended by signal {-code} ({_signal_name(-code)}){_end_of(err)}")
            if code and self.read.fails_on_exit_code:
                raise EvaluationFailed(f"it ended with exit code {code}{_end_of(err)}{self._advice(arguments)}")
            return self.read.loss(_text(out), code)

    def _run(
        self,
        arguments: list[str],
        environment: dict[str, str],
        stdin: str | None,
        folder: str | None,
        out: IO[bytes],
        err: IO[bytes],
    ) -> tuple[int, bool]:
        """Run the program to its end; its exit code, and whether the time limit was that end."""
        with tempfile.TemporaryFile() as given:
            given.write((stdin or "").encode())
            given.seek(0)
            try:
                # files, because a pipe may be held open by something that the program left behind
                process = subprocess.Popen(
                    arguments, stdin=given, stdout=out, stderr=err, cwd=folder, env=environment, start_new_session=True
                )
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                raise InvalidValue(f"the program {arguments[0]!r} cannot be started: {why}") from None
        with _changing:
            _under_way.add(process)
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(self.seconds, end) if self.seconds is not None else None
        try:
            if timer is not None:
                timer.daemon = True
                timer.start()
            code = process.wait()
        except BaseException:
            _kill(process)
            process.wait()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            with _changing:
                _under_way.discard(process)
        return code, late.is_set() and code < 0

    @contextmanager
    def _folder(self, point: Any) -> Iterator[str | None]:
        """A folder of its own for an evaluation, if there is a directory for them."""
        if self.directory is None:
            yield None
            return
        try:
            os.makedirs(self.directory, exist_ok=True)
            folder = tempfile.mkdtemp(prefix="evaluation-", dir=os.path.abspath(self.directory))
        except OSError as error:
            raise InvalidValue(f"there can be no folder in {str(self.directory)!r}: {error.strerror}") from None
        try:
            Path(folder, "point.json").write_text(json.dumps(point, default=str) + "\n", encoding="utf-8")
            yield folder
        finally:
            if not self.keep:
                shutil.rmtree(folder, ignore_errors=True)

    def _check_kinds(self) -> None:
        """What would otherwise come to light at an evaluation, or never."""
        if not isinstance(self.read, Reading):
            raise InvalidValue(f"read says where the loss is, got {self.read!r}; write LastLine() or Json('loss')")
        texts = isinstance(self.environment, Mapping) and all(isinstance(v, str) for v in self.environment.values())
        if not texts:
            raise InvalidValue(f"variables are texts by name, got {self.environment!r}; write environment={{'A': '1'}}")
        if not isinstance(self.stdin, str | None):
            raise InvalidValue(f"the standard input is a text, got {self.stdin!r}; write stdin={str(self.stdin)!r}")
        if not isinstance(self.directory, str | Path | None) or self.directory == "":
            raise InvalidValue(f"a directory is the path of a folder, got {self.directory!r}; write directory='work'")
        if self.keep and self.directory is None:
            raise InvalidValue("to keep the folders of evaluations there must be some; name a directory for them")

    def _check_names(self, space: Space) -> None:
        names = parameter_names(space)
        for name in (EVERYTHING, HERE):
            if name in names:
                raise InvalidValue(
                    f"a parameter of a command cannot be called {name!r}, since {{{name}}} has a meaning"
                )
        texts = [*self._arguments, *map(Template, self.environment.values()), Template(self.stdin or "")]
        used = [name for template in texts for name in template.names]
        for name in used:
            if name not in (EVERYTHING, HERE) and not any(
                known == name or known.startswith(f"{name}.") for known in names
            ):
                raise InvalidValue(
                    f"{{{name}}} in the command is no parameter; there are {', '.join(names)}. A brace of its own is "
                    "written twice, {{ or }}"
                )
        if EVERYTHING not in used:
            for known in names:
                if not any(known == name or known.startswith(f"{name}.") for name in used):
                    raise InvalidValue(
                        f"the parameter {known} stands nowhere in the command; write {{{known}}} where it belongs, "
                        "or {*} for all parameters as JSON"
                    )

    def _check_program(self) -> None:
        program = self._arguments[0]
        if program.names or (self.directory is not None and "/" in program.text and not os.path.isabs(program.text)):
            return  # it is not known yet, or looked for in a folder that is not there yet
        if shutil.which(program.text) is None:
            if program.text.endswith(".py"):
                raise InvalidValue(
                    f"{program.text!r} is no program that can be run; write 'python {program.text} ...', or "
                    f"{program.text}:name for a function in it"
                )
            raise InvalidValue(f"there is no program {program.text!r} that can be run; write its full path")

    def _advice(self, arguments: list[str]) -> str:
        """What may be wrong where an evaluation works in a folder of its own."""
        if self.directory is None:
            return ""
        here = [text for text in arguments[1:] if not os.path.isabs(text) and Path(self._here, text).is_file()]
        return f" (each evaluation has a folder of its own: write {{.}}/{here[0]} for {here[0]})" if here else ""


def end_programs() -> None:
    """Kill every program that is under way, with all that it has started."""
    with _changing:
        programs = list(_under_way)
    for process in programs:
        _kill(process)


atexit.register(end_programs)


def _split(command: Any) -> list[str]:
    try:
        found = shlex.split(command) if isinstance(command, str) else list(command)
    except (ValueError, TypeError) as error:
        raise InvalidValue(f"the command {command!r} cannot be split into arguments: {error}") from None
    if not found or not all(isinstance(part, str) for part in found) or not found[0]:
        raise InvalidValue(f"a command begins with a program, got {command!r}; write 'python sim.py --a {{a}}'")
    return found


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.returncode is None:  # else its number may be somebody else's by now
        if sys.platform != "win32":
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _text(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST))
    return file.read().decode("utf-8", errors="replace")


def _end_of(err: IO[bytes]) -> str:
    text = _text(err).strip()
    return f": {text if len(text) <= _TAIL else '...' + text[-_TAIL:]}" if text else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
