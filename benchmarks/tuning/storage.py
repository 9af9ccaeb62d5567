"""How quickly trials are stored: a study on a file, ten floats, random points, from one process and from several.

Every store is measured in processes of its own; fsyncs are counted by strace, if there is one.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STORES", "Speed", "measured", "work"]

STORES = ("descend power", "descend process", "optuna sqlite", "optuna journal", "rustuna sqlite", "rustuna journal")


@dataclass(frozen=True)
class Speed:
    """Trials a second on the clock, CPU milliseconds and fsyncs a trial (NaN: not counted)."""

    store: str
    workers: int
    trials: float
    milliseconds: float
    fsyncs: float
    error: str = ""


def _worker(store: str, file: Path, trials: int) -> list[str]:
    return [sys.executable, str(Path(__file__).parents[1] / "tune.py"), "--store-worker", store, str(file), str(trials)]


def measured(store: str, workers: int, trials: int, folder: Path | None = None) -> Speed:
    """The speed of `workers` processes that make so many trials each, after one that has made the file."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = Path(name) / "study.store"
        first = subprocess.run(_worker(store, file, 1), capture_output=True, text=True, check=False)
        if first.returncode:
            return Speed(store, workers, 0.0, 0.0, 0.0, first.stderr.strip().splitlines()[-1][:200])
        running = [subprocess.Popen(_worker(store, file, trials), stdout=subprocess.PIPE, text=True)
                   for _ in range(workers)]  # fmt: skip
        told = [process.communicate()[0].split() for process in running]
        if any(process.returncode for process in running):
            return Speed(store, workers, 0.0, 0.0, 0.0, f"{sum(bool(p.returncode) for p in running)} workers failed")
        spans = [tuple(map(float, row)) for row in told]
        seconds = max(end for _, end, _ in spans) - min(begin for begin, _, _ in spans)
        own = 1000 * sum(cpu for _, _, cpu in spans) / (workers * trials)
        return Speed(
            store, workers, workers * trials / seconds, own, _fsyncs(store, file) if workers == 1 else float("nan")
        )


def _fsyncs(store: str, file: Path, trials: int = 20) -> float:
    """fsync and fdatasync calls a trial, those of opening the file left out."""
    if shutil.which("strace") is None:
        return float("nan")

    def calls(n: int) -> int:
        trace = file.with_suffix(".trace")
        command = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), *_worker(store, file, n)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return -1
        return sum("sync(" in line for line in trace.read_text().splitlines())

    few, many = calls(1), calls(1 + trials)
    return float("nan") if min(few, many) < 0 else (many - few) / trials


def work(store: str, file: Path, trials: int) -> None:
    """What a worker does: so many trials; then it prints when it began and ended, and its CPU seconds between."""
    library, kind = store.split()
    trial = {"descend": _descend, "optuna": _optuna, "rustuna": _rustuna}[library](kind, file)
    begin, own = time.time(), time.process_time()
    for _ in range(trials):
        trial()
    print(begin, time.time(), time.process_time() - own)


def _descend(durability: str, file: Path):
    import descend as dd
    from descend.study import Study

    space = dd.Space({f"x{i}": dd.Float(-5, 5) for i in range(10)})
    study = Study(str(file), "speed", space=space, method=dd.Uniform(), key=0, durability=durability)

    def trial() -> None:
        one = study.ask()
        study.tell(one, sum(value * value for value in one.params.values()))

    return trial


def _suggested(trial) -> float:
    return sum(trial.suggest_float(f"x{i}", -5, 5) ** 2 for i in range(10))


def _optuna(kind: str, file: Path):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if kind == "sqlite":
        storage = f"sqlite:///{file}"
    else:
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        storage = optuna.storages.JournalStorage(backend)
    sampler = optuna.samplers.RandomSampler()
    study = optuna.create_study(storage=storage, study_name="speed", load_if_exists=True, sampler=sampler)

    def trial() -> None:
        one = study.ask()
        study.tell(one, _suggested(one))

    return trial


def _rustuna(kind: str, file: Path):
    import rustuna

    if kind == "sqlite":
        storage = rustuna.storages.SQLite3Storage(str(file))
    else:
        storage = rustuna.storages.JournalFileStorage(str(file))
    sampler = rustuna.samplers.RandomSampler()
    study = rustuna.create_study(storage=storage, study_name="speed", load_if_exists=True, sampler=sampler)

    def trial() -> None:
        one = study.ask()
        study.tell(one.number, [_suggested(one)])

    return trial
