"""The GIF: as many frames as iterates, at most 120, below a megabyte, and the same colours in all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from descend import problems
from descend.errors import InvalidValue, ShapeMismatch
from descend.plot import animate
from descend.plot.film import frame_ends, write_gif


def spiral(count: int) -> torch.Tensor:
    """A path on which no two iterates look the same."""
    turn = torch.linspace(0, 12, count, dtype=torch.float64)
    return torch.stack([turn.cos(), turn.sin()], 1) * (4 - turn[:, None] / 4)


def test_frames_and_durations(tmp_path: Path) -> None:
    file = animate(problems.himmelblau, spiral(9), tmp_path / "film.gif", fps=10)
    assert file == tmp_path / "film.gif"
    with Image.open(file) as film:
        durations = []
        for i in range(film.n_frames):
            film.seek(i)
            durations.append(film.info["duration"])
    assert durations == [100] * 8 + [1500]


def test_a_long_path_is_at_most_120_frames_and_a_megabyte(tmp_path: Path) -> None:
    file = animate(problems.rastrigin, spiral(3000), tmp_path / "film.gif")
    with Image.open(file) as film:
        assert 100 < film.n_frames <= 120
    assert file.stat().st_size < 1_000_000


def test_only_what_moves_changes(tmp_path: Path) -> None:
    file = animate(problems.himmelblau, [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0]], tmp_path / "film.gif")
    with Image.open(file) as film:
        frames = []
        for i in (0, 2):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB"), dtype=int))
    changed = np.abs(frames[0] - frames[1]).max(-1) > 0
    assert 0.001 < changed.mean() < 0.05
    vermilion = [(np.abs(frame - [0xD5, 0x5E, 0x00]).max(-1) < 30).sum() for frame in frames]
    assert vermilion[0] > 0  # the dot is there from the beginning, the way is not
    assert vermilion[1] > 3 * vermilion[0]


def test_all_frames_have_the_colours_of_the_last(tmp_path: Path) -> None:
    """More colours than a GIF can have, and other ones in every frame: what stands still stays as it is."""
    images = []
    for i in range(4):
        picture = np.stack([*(4 * np.indices((64, 64))), np.full((64, 64), 90)], axis=-1)
        picture[:, 32:] = 0
        picture[:, 32 + 8 * i : 40 + 8 * i] = np.arange(64)[:, None, None] * np.array([0, 1, 4 - i])
        images.append(Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)))
    write_gif(tmp_path / "film.gif", images, fps=10)
    with Image.open(tmp_path / "film.gif") as film:
        left = []
        for i in range(4):
            film.seek(i)
            left.append(np.asarray(film.convert("RGB"))[:, :32])
    for other in left[1:]:
        np.testing.assert_array_equal(other, left[0])


def test_frame_ends_begin_and_end_with_the_path() -> None:
    for count in (1, 2, 119, 120, 121, 239, 5000):
        ends = frame_ends(count, None)
        assert (ends[0], ends[-1]) == (0, count - 1)
        assert len(ends) <= 120
        assert len(set(ends)) == len(ends)
    assert len(frame_ends(120, None)) == 120
    assert frame_ends(10, 4) == [0, 4, 8, 9]


def test_a_path_with_gaps(tmp_path: Path) -> None:
    animate(problems.booth, [[1.0, 1.0], [float("nan"), 1.0], [2.0, 2.0]], tmp_path / "film.gif")


@pytest.mark.parametrize(
    ("path", "name", "options", "sentence"),
    [
        (spiral(3), "film.mp4", {}, "film.mp4.*end the name with .gif"),
        (spiral(3), "film.gif", {"fps": 0}, "fps=0"),
        (spiral(3), "film.gif", {"every": 0}, "every=0"),
        (spiral(500), "film.gif", {"every": 2}, "every=2.*every=5"),
        ([spiral(3), spiral(3)], "film.gif", {}, "one path, got 2"),
        (torch.zeros(4, 3), "film.gif", {}, r"\(4, 3\)"),
    ],
)
def test_wrong_input_gets_a_sentence(path: object, name: str, options: dict, sentence: str, tmp_path: Path) -> None:
    with pytest.raises((InvalidValue, ShapeMismatch), match=sentence):
        animate(problems.booth, path, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())
