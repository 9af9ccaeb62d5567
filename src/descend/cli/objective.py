"""A function in a file as an objective: ``file.py:function``, loaded once in every process that evaluates it."""

import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.errors import InvalidValue

__all__ = ["FileFunction"]

_FORM = re.compile(r"(?P<path>[^\s]+\.py):(?P<name>[A-Za-z_]\w*)")

_loaded: dict[tuple[str, str], Callable[..., Any]] = {}


@dataclass(frozen=True)
class FileFunction:
    """A function of a point, named by its file; only the names travel to other processes.

    Args:
        path: of the file, which is run when the function is called for the first time in a process.
        name: of the function.

    Raises:
        InvalidValue: when it is loaded: there is no such file or function, or the file fails.
    """

    path: str
    name: str

    @staticmethod
    def of(text: str) -> "FileFunction | None":
        """What ``file.py:function`` names; None if the text is of another form."""
        found = _FORM.fullmatch(text.strip())
        return None if found is None else FileFunction(str(Path(found["path"]).absolute()), found["name"])

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, point: Any) -> Any:
        return self.load()(point)

    def load(self) -> Callable[..., Any]:
        """The function itself."""
        key = (self.path, self.name)
        if key not in _loaded:
            _loaded[key] = self._load()
        return _loaded[key]

    def _load(self) -> Callable[..., Any]:
        if not Path(self.path).is_file():
            raise InvalidValue(f"there is no file {self.path}")
        name = Path(self.path).stem
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)  # as Python does with the folder of a script
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, module)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise InvalidValue(f"{self.path} cannot be loaded: {type(error).__name__}: {error}") from error
        function = vars(module).get(self.name)
        if not callable(function):
            own = {known for known, value in vars(module).items() if getattr(value, "__module__", "") == name}
            there = [known for known in vars(module) if known in own and known[0] != "_"]
            raise InvalidValue(f"{self.path} has no function {self.name!r}; it has {', '.join(there) or 'none at all'}")
        return function
