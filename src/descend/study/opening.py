"""Which study is meant: an old one in a file, whose header is read, or a new one, whose header is written."""

from pathlib import Path

from descend.errors import InvalidValue
from descend.log import Log, Memory, Store
from descend.study.header import Given, Settings, completed, pruner_from_text, pruner_to_text
from descend.study.pruners.base import Pruner

__all__ = ["opened", "pruner_of"]

_PRUNER = ".pruner"


def opened(
    store: Store | None, path: str | Path | None, name: str | None, given: Given, said: bool
) -> tuple[Log | Memory, Settings]:
    """The log of a study and what it depends on.

    Args:
        store: None for one in memory.
        path: as the user wrote it, for sentences.
        name: None means "study", or the only one that there is if nothing is said of it.
        given: what is said of all that it depends on.
        said: whether anything else is said of it.

    Raises:
        InvalidValue: there is no such study, and nothing is said of a new one.
        StateMismatch: it was begun with something else.
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise InvalidValue(f'the name of a study is a text, got {name!r}; write name="study"')
    if store is None:
        settings = completed(given, None, "")
        return Memory(name or "study", settings.header()), settings
    said, names = said or given.anything, store.names()
    if name is None:
        name = names[0] if len(names) == 1 and not said else "study"
    if name in names:
        log = store.open(name)
        settings = completed(given, log.header, name)
        return (store.open(name, settings.header()) if given.anything else log), settings
    if names and not said:
        raise InvalidValue(
            f"{path} has no study {name!r}; write one of {', '.join(map(repr, names))}, or to begin a new one say "
            f"something of it: Study({str(path)!r}, {name!r}, key=0)"
        )
    settings = completed(given, None, name)
    return store.open(name, settings.header()), settings


def pruner_of(log: Log | Memory, pruner: Pruner | None, readonly: bool) -> Pruner | None:
    """The pruner that is given, which is noted, or the one that was noted. It is no part of the header: another one
    may go on."""
    noted = log.attributes().get(_PRUNER)
    if pruner is None:
        return pruner_from_text(noted)
    text = pruner_to_text(pruner)
    if text is not None and text != noted and not readonly:
        log.set_attributes({_PRUNER: text})
    return pruner
