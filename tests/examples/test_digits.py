"""The first job on a budget of a few steps: its table, its files, its report, and that a key repeats it."""

import base64
import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

import descend as dd

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # examples are no part of the package

from examples.digits.__main__ import main  # noqa: E402
from examples.digits.measure import peak_bytes  # noqa: E402
from examples.digits.methods import METHODS, Method  # noqa: E402
from examples.digits.show import Display  # noqa: E402
from examples.digits.task import Network, batches, load  # noqa: E402
from examples.digits.train import Run, forward_equivalents, train  # noqa: E402

BUDGET = 120
LINE = re.compile(r"seed (\d+)  (.+?) +loss (\S+)  accuracy +(\S+)%  ([\d,]+) forward-equivalents")


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """What the command returns and prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main(arguments)
    return code, printed.getvalue()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run of all methods with one seed printed, and its folder."""
    folder = tmp_path_factory.mktemp("digits")
    code, printed = run(["--budget", str(BUDGET), "--seeds", "1", "--out", str(folder)])
    assert code == 0
    return printed, folder


def test_table_has_a_row_for_every_method(job: tuple[str, Path]) -> None:
    printed, _ = job
    table = printed[printed.index("test  ") :]
    for method in METHODS:
        (row,) = [line for line in table.splitlines() if line.strip().startswith(method.title + " ")]
        accuracy, spent, memory = re.search(r"([\d.]+)%.* (\d+)\s+[\d.]+\s+([\d.]+) x", row).groups()  # type: ignore[union-attr]
        assert 0 < float(accuracy) < 100
        assert BUDGET - method.cost < int(spent) <= BUDGET
        assert 0.5 < float(memory) < 40


def test_names_the_report_at_the_end(job: tuple[str, Path]) -> None:
    printed, folder = job
    assert printed.splitlines()[-1].strip() == str((folder / "report.html").resolve())


def test_report_needs_nothing_else(job: tuple[str, Path]) -> None:
    _, folder = job
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|<script|<link|@import|url\(", re.sub(r"base64,[^\"]*", "", page))
    pictures = sorted(base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page))
    assert len(pictures) == len(re.findall("<img", page)) == 5
    assert pictures == sorted(file.read_bytes() for file in folder.glob("*.png"))
    assert "python -m examples.digits --budget 120 --seeds 1 --key 0" in page


def test_same_key_gives_the_same_run_whatever_else_runs(job: tuple[str, Path], tmp_path: Path) -> None:
    printed, _ = job
    chosen = ["--method", "hybrid", "--method", "smoothing"]
    _, again = run(["--budget", str(BUDGET), "--seeds", "1", "--out", str(tmp_path), *chosen])
    assert len(LINE.findall(again)) == 2
    assert set(LINE.findall(again)) < set(LINE.findall(printed))
    _, other = run(["--budget", str(BUDGET), "--seeds", "1", "--out", str(tmp_path), "--key", "1", *chosen])
    assert not set(LINE.findall(other)) & set(LINE.findall(printed))


def test_interrupt_ends_with_a_report_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Run] = []

    def watch(self: Display, run: Run) -> None:
        watched.append(run)
        if len(watched) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Display, "watch", watch)
    code, printed = run(["--budget", "3000", "--out", str(tmp_path), "--method", "last-layer"])
    assert code == 130
    assert "Last layer only" in printed
    assert "This run was interrupted" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in ((["--budget", "0"], "0 is not a count"), (["--method", "adam"], "autograd")):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.slug)
def test_cost_of_a_step_is_what_the_ledger_counts(method: Method) -> None:
    data, key = load(), dd.Key(3)
    record = Run(method, 0)
    train(record, data, 10 * method.cost, key, lambda _: None)
    assert forward_equivalents(record.counts) == record.spent[-1] == 10 * method.cost
    assert record.done


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.slug)
def test_settings_in_the_report_are_those_of_the_method(method: Method) -> None:
    network = Network(dd.Key(0))
    made = method.make(network, dd.Key(0))
    layers = {"last_layer": [*network.head.parameters()]}
    layers["convolutions"] = [p for p in network.parameters() if not any(p is q for q in layers["last_layer"])]
    said = eval(method.settings, {"dd": dd, "network": network, **layers})
    assert repr(said) == repr(made)
    for mine, theirs in zip(made.param_groups, said.param_groups, strict=True):
        assert {key: mine[key] for key in mine if "param" not in key} == {
            key: theirs[key] for key in theirs if "param" not in key
        }
    assert made._own == said._own


def test_autograd_learns() -> None:
    record = Run(METHODS[0], 0)
    train(record, load(validation=True), 300, dd.Key(0), lambda _: None)
    assert record.accuracy[0] < 0.3
    assert record.accuracy[-1] > 0.8


def test_split_is_fixed_and_has_no_image_twice() -> None:
    data, tuning = load(), load(validation=True)
    assert (len(data.train_labels), len(data.test_labels)) == (1437, 360)
    assert (len(tuning.train_labels), len(tuning.test_labels)) == (1137, 300)
    assert torch.equal(data.test_images, load().test_images)
    pixels = (data.test_images.flatten(1) * 100).round()
    others = (data.train_images.flatten(1) * 100).round()
    assert torch.cdist(pixels, others).min() > 0
    assert data.train_images.mean().abs() < 1e-5
    images, labels = next(batches(data, dd.Key(0)))
    assert images.shape == (64, 1, 8, 8)
    assert labels.shape == (64,)
    assert sum(p.numel() for p in Network(dd.Key(0)).parameters()) == 2582


def test_peak_is_the_most_at_one_time() -> None:
    def work() -> None:
        for _ in range(3):
            first = torch.zeros(25_000)
            second = first + 1
            del first, second

    assert 200_000 <= peak_bytes(work) < 200_100  # and the 1 itself
