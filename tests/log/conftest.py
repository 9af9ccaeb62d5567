"""Where logs may live: in memory, in a file, and on a PostgreSQL server that is started for these tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from descend.log import Clock, Log, Memory, Store

MISSING = [name for name in ("initdb", "pg_ctl", "postgres") if shutil.which(name) is None]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.name == "posix" else []


def as_somebody(*command: str) -> list[str]:
    """The command for somebody who is not root, whom PostgreSQL does not serve."""
    return [*(AS_NOBODY if os.geteuid() == 0 else []), *command]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of an empty server, which is reached by a socket in a folder of its own."""
    if MISSING:
        pytest.skip(f"PostgreSQL is not installed: no {', '.join(MISSING)}")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv to be somebody else")
    folder = Path(tempfile.mkdtemp(prefix="descend-pg-", dir="/tmp"))  # a path of a socket must be short
    folder.chmod(0o777)
    data = folder / "data"
    quiet = {"check": True, "capture_output": True, "cwd": folder, "timeout": 120}
    subprocess.run(as_somebody("initdb", "-D", str(data), "-U", "me", "-A", "trust", "--no-sync"), **quiet)
    options = f"-k {folder} -c listen_addresses='' -c shared_buffers=16MB -c fsync=on"
    log = str(folder / "server.txt")
    subprocess.run(as_somebody("pg_ctl", "-D", str(data), "-l", log, "-o", options, "-w", "start"), **quiet)
    try:
        yield f"postgresql://me@/postgres?host={quote(str(folder))}"
    finally:
        subprocess.run(as_somebody("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop"), **quiet)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def new_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Clock], Log | Memory]]:
    """Makes the log of a new study, with a clock."""
    stores: list[Store] = []
    names = iter(f"{request.node.name} {number}" for number in range(100))

    def make(clock: Clock = Clock()) -> Log | Memory:
        if request.param == "memory":
            return Memory("study", {"a": 1}, clock)
        where = tmp_path / "tune.db" if request.param == "sqlite" else request.getfixturevalue("server")
        stores.append(Store(where, clock=clock))
        return stores[-1].open(next(names), {"a": 1})

    yield make
    for store in stores:
        store.close()
