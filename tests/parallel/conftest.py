"""Ranks as threads over a store in memory, which is enough for everything but the death of a process; and processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.distributed import HashStore, TCPStore

from descend.parallel import Parallel, Team

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
Together = Callable[..., list[Any]]


@pytest.fixture
def together() -> Together:
    """together(ranks, run, ...) calls run(rank, team) on each rank at once: what each returned or raised, by rank."""

    def call(ranks: int, run: Callable[[int, Team], Any], **settings: Any) -> list[Any]:
        store = settings.pop("store", None) or HashStore()
        settings = {"patience": 20.0, "world_size": ranks, **settings}
        ended: list[Any] = ["did not end"] * ranks

        def work(rank: int) -> None:
            try:
                team = Parallel(store=store, rank=rank, **settings).connect()
                ended[rank] = run(rank, team)
                team.leave()
            except BaseException as error:
                ended[rank] = error

        threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return ended

    return call


class Told:
    """What the ranks told, by name of the run."""

    def __init__(self, folder: Path, errors: str) -> None:
        self.folder, self.errors = folder, errors

    def __call__(self, name: str, rank: int) -> dict[str, Any]:
        file = self.folder / f"{name}.{rank}"
        assert file.exists(), f"rank {rank} told nothing of the run {name!r}:\n{self.errors}"
        return torch.load(file)

    def all(self, name: str, ranks: int = 2) -> list[dict[str, Any]]:
        return [self(name, rank) for rank in range(ranks)]


@pytest.fixture(scope="session")
def worker() -> ModuleType:
    """The module of the processes."""
    spec = spec_from_file_location("worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Told]:
    """start_runs("gloo", "three") makes these runs at once, within a time limit."""

    def start(scenario: str, folder: Path, store: TCPStore) -> subprocess.Popen[str]:
        store.set("file", str(folder / "run.descend"))
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, str(WORKER), scenario, str(store.port), str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TORCH_CPP_LOG_LEVEL": "FATAL"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*scenarios: str) -> Told:
        folder = tmp_path_factory.mktemp("runs")
        stores = [TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=60), False) for _ in scenarios]
        processes = [start(name, folder, store) for name, store in zip(scenarios, stores, strict=True)]
        errors = []
        for process in processes:
            try:
                errors.append(process.communicate(timeout=120)[1])
            except subprocess.TimeoutExpired:
                process.kill()
                errors.append("it did not end in time\n" + process.communicate()[1])
        return Told(folder, "\n".join(errors))

    return run


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers
    yield
    torch.set_num_threads(threads)
