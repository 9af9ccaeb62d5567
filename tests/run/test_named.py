"""Methods as text: there and back, and nothing but descend's own methods is ever made of a text."""

from dataclasses import dataclass

import pytest

from descend.errors import InvalidValue
from descend.population.openai_es import OpenAIES
from descend.population.snes import SNES
from descend.population.xnes import XNES
from descend.run.named import from_text, method_names, to_text
from descend.transform import Adam


@dataclass(frozen=True)
class Own(SNES):
    """Somebody's method."""


NEEDS_SETTINGS = {"Restarts", "AugmentedLagrangian", "Racing"}
"""Wrappers: they are nothing without what they wrap."""


@pytest.mark.parametrize("name", sorted({*method_names()} - NEEDS_SETTINGS))
def test_every_method_can_be_made_by_its_name_and_written_down(name: str) -> None:
    method = from_text(name)
    assert type(method).__name__ == name
    assert from_text(to_text(method)) == method


def test_settings_may_be_transforms() -> None:
    method = OpenAIES(transform=Adam(betas=(0.5, 0.9)))
    assert from_text(to_text(method)) == method


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("SNES", SNES()),
        (" SNES() ", SNES()),
        ("SNES(20)", SNES(20)),
        ("SNES(popsize=20, sigma=.5, noisy=True)", SNES(popsize=20, sigma=0.5, noisy=True)),
        ("XNES(popsize=None)", XNES()),
    ],
)
def test_what_is_typed(text: str, method: object) -> None:
    assert from_text(text) == method


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SNEZ", "there is no method 'SNEZ'; write SNES, or one of"),
        ("", "is not the name of a method"),
        ("SNES(", "is not the name of a method"),
        ("3", "is not a method"),
        ("SNESState", "there is no method|takes the settings|is not a method"),
        ("SNES(population=3)", "SNES takes the settings popsize, sigma, rate, noisy"),
        ("SNES(popsize=1)", "popsize"),
        ("SNES(popsize=open('x'))", "there is no method 'open'"),
        ("SNES(popsize=().__class__)", "cannot stand in a method"),
        ("SNES(**{})", "cannot stand in a method"),
        ("__import__('os').system('true')", "cannot stand in a method"),
        ("[SNES()]", "cannot stand in a method"),
        ("SNES(-'a')", "cannot stand in a method"),
    ],
)
def test_wrong_text_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        from_text(text)


def test_what_cannot_be_written_is_said() -> None:
    for method in (Own(), object()):
        with pytest.raises(InvalidValue, match="cannot be written down"):
            to_text(method)
