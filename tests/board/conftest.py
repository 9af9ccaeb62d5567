"""A browser without a window, told what to do through a pipe (the DevTools protocol), and studies to be looked at."""

import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from descend.direct.filling import Uniform
from descend.plot.study.view import View
from descend.study import STATES, Column, Study, Table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-extensions", "--mute-audio"),
)


class Browser:
    """One page of a browser.

    Attributes:
        complaints: errors and refusals that the page wrote on its console.
        asked: the addresses that it asked for.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        their_input, ours_out = os.pipe()
        ours_in, their_output = os.pipe()

        def give() -> None:  # the pipe is at 3 and 4 there
            os.dup2(their_input, 3 + 20)
            os.dup2(their_output, 4 + 20)
            os.dup2(3 + 20, 3)
            os.dup2(4 + 20, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *QUIET, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=give, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_input)
        os.close(their_output)
        self._out, self._in = ours_out, ours_in
        self._number, self._rest, self._session = 0, b"", ""
        self.complaints: list[str] = []
        self.asked: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._out, json.dumps(order).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])

    def open(self, url: str, width: int = 1200, height: int = 900) -> None:
        """Go to a page."""
        self.complaints.clear()
        self.asked.clear()
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)

    def show(self, view: str, study: str) -> None:
        """Go to a view of a study on the page that is open, and wait for its first picture if it has one."""
        self.run(f"location.hash = '#{view}/' + encodeURIComponent({json.dumps(study)})")
        self.until(f"document.documentElement.dataset.ready === {json.dumps(f'{view}/{study}')}")
        drawn = "(one) => one.dataset.drawn || one.querySelector('.empty')"
        self.until(f"[...document.querySelectorAll('.figure')].slice(0, 1).every({drawn})")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if value := self.run(script):
                    return value
            except AssertionError:  # the page is just being left
                pass
            time.sleep(0.05)
        text = self.run("document.body.innerText")
        raise AssertionError(f"{script} did not come true; {self.complaints}; the page says {text[:600]!r}")

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine to open pages with")
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>{{7*7}}'\"&<b>\u2028"


def objective(trial: Any) -> float:
    """Parameters, choices, notes and failures all have names that want to be run."""
    rate = trial.float("rate", 1e-4, 1, log=True)
    kind = trial.choice("kind", "svc", HOSTILE)
    loss = (rate - 0.01) ** 2 + 0.1 * (kind == "svc") + trial.float(HOSTILE, 0, 1)
    if kind == "svc":
        loss += trial.float("svc.C", 0.1, 10, log=True) / 100
    for step in range(4):
        trial.report(step, loss + 1 / (1 + step))
    trial.set(HOSTILE, HOSTILE)
    if trial.number % 7 == 3:
        raise ValueError(HOSTILE)
    return loss


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two studies, one of them hostile. Nothing writes into it."""
    path = tmp_path_factory.mktemp("studies") / "tune.db"
    with Study(path, "tune", method=Uniform(), key=0) as study:
        study.run(objective, trials=70)
    with Study(path, HOSTILE.replace("\u2028", ""), method=Uniform(), key=1) as study:
        study.run(objective, trials=20)
    return path


@pytest.fixture(scope="session")
def view_of_many() -> Callable[[int], View]:
    """Makes a view of so many trials with ten parameters."""
    return _view_of_many


def _view_of_many(n: int) -> View:
    rng = np.random.default_rng(0)
    columns = {f"p{j}": Column(rng.random(n), None, False) for j in range(9)}
    columns["kind"] = Column(rng.integers(0, 3, n).astype(np.float64), ("a", "b", "c"), False)
    values = sum((columns[f"p{j}"].numbers - 0.3) ** 2 for j in range(4))
    began = 1e9 + np.arange(n) * 2.0
    owner = np.arange(n) % 4
    states = np.where(np.arange(n) % 50 == 7, STATES.index("failed"), STATES.index("done")).astype(np.int8)
    table = Table(
        ("minimize",), np.arange(n), states, np.where(states == 2, values, math.nan)[:, None], np.zeros(n), began,
        began + 1.0, ("w0", "w1", "w2", "w3"), owner, columns, 1,
    )  # fmt: skip
    return View(table, "huge")
