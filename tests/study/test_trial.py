"""What a trial says to a question: what was proposed if that answers it, and the same when it is asked again."""

import pytest

from descend.errors import InvalidValue
from descend.key import Key
from descend.study import FixedTrial, Trial


def test_a_value_that_does_not_fit_the_question_is_drawn_anew():
    trial = Trial(0, {"a": 9.0, "b": 2, "c": "3", "d": 0.3, "e": 1.5}, Key(1), None)
    assert 0 <= trial.float("a", 0, 4) <= 4
    assert trial.float("b", 0, 4) == 2
    assert 0 <= trial.float("c", 0, 4) <= 4
    assert trial.float("d", 0, 1, step=0.5) in (0.0, 0.5, 1.0)
    assert trial.float("e", 0, 4) == 1.5
    assert trial.float("a", 0, 4) == trial["a"] == Trial(0, None, Key(1), None).float("a", 0, 4)


def test_a_name_has_one_meaning_in_a_trial():
    trial = Trial(0, {"a": 1.5}, Key(1), None)
    trial.float("a", 0, 4)
    with pytest.raises(InvalidValue, match=r"a is Float\(0.0, 4.0\) in this trial, and was asked for again"):
        trial.float("a", 0, 5)
    with pytest.raises(InvalidValue, match="does not begin with a dot"):
        trial.float(".a", 0, 5)


def test_given_values_have_to_fit():
    trial = FixedTrial({"a": 9.0, "b": 1.5})
    assert trial.float("b", 1, 2) == 1.5
    with pytest.raises(InvalidValue, match=r"a must lie in \[0.0, 4.0\], got 9.0"):
        trial.float("a", 0, 4)
