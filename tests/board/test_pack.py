"""Data in a page: read back as it was, arrays once, and nothing in it can end the element that holds it."""

import json

import numpy as np

from descend.board.pack import compact, embedded


def unpacked(text):
    """As the page does it."""
    raw = json.loads(text)

    def walk(part):
        if isinstance(part, list):
            return [walk(one) for one in part]
        if isinstance(part, dict):
            return raw["arrays"][part["$"]] if "$" in part else {name: walk(one) for name, one in part.items()}
        return part

    return walk(raw["data"])


def test_data_are_read_back() -> None:
    data = {"a": np.arange(20), "b": [1, "two", None, True, 0.1], "c": {"d": np.array([1.5, np.nan, np.inf, -2.0])}}
    back = unpacked(compact(data))
    assert back == {"a": list(range(20)), "b": [1, "two", None, True, 0.1], "c": {"d": [1.5, None, None, -2.0]}}


def test_an_array_is_written_once() -> None:
    x = np.linspace(0, 1, 1000)
    one, five = compact([x]), compact([x, x, x.copy(), {"x": x}, [x]])
    assert len(five) < len(one) + 100
    assert unpacked(five)[3]["x"] == unpacked(one)[0]


def test_numbers_keep_their_digits_and_their_size() -> None:
    numbers = np.concatenate([10.0 ** np.linspace(-300, 300, 50), -np.pi * 10.0 ** np.arange(-20.0, 20.0), [0.0, -0.0]])
    back = np.array(unpacked(compact(numbers)), dtype=np.float64)
    np.testing.assert_allclose(back, numbers, rtol=5e-5)
    assert unpacked(compact(np.array([123456789.0] * 9))) == [123456789] * 9
    assert unpacked(compact(np.array([[1.0, 2.0]] * 9)))[8] == [1, 2]


def test_nothing_ends_the_element_that_holds_the_data() -> None:
    words = ["</script><script>alert(1)</script>", "<!--", "]]>", "&lt;", "\u2028\u2029", "\ud800", "\x00\x1b"]
    text = embedded({"names": words})
    assert not set("<>&\u2028\u2029") & set(text)
    assert unpacked(text)["names"][:5] == words[:5]
    text.encode("utf-8")
