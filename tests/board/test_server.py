"""The live page: whom it answers, what it refuses, and that it follows a study while that runs."""

import asyncio
import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import pytest

from descend.board.reader import Reader
from descend.board.server import Board, Guard
from descend.direct.filling import Uniform
from descend.errors import InvalidValue
from descend.study import Study


@pytest.fixture(scope="module")
def board(file):
    with Board(file, port=0) as made:
        yield made


def ask(board, path="/", method="GET", headers=None, host=None):
    """Status, headers and text of an answer, with exactly these headers."""
    place = urlsplit(board.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in ({"Host": host or place.netloc} | (headers or {})).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    told = {name.lower(): value for name, value in answer.getheaders()}
    found = answer.status, told, answer.read().decode(errors="replace")
    connection.close()
    return found


def test_it_listens_to_this_machine_only(board) -> None:
    assert board.url.startswith("http://127.0.0.1:")
    port = urlsplit(board.url).port
    with socket.socket() as other, pytest.raises(OSError):  # noqa: PT011  # the words are the system's
        other.bind(("127.0.0.1", port))
    assert board._socket.getsockname()[0] == "127.0.0.1"


OURS = ("localhost", "LOCALHOST:{port}", "127.0.0.1", "127.0.0.1:{port}", "[::1]:{port}", "127.0.0.1:1")
THEIRS = (
    *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "evil.example:127.0.0.1", "0.0.0.0"),
    *("[::]", "localhost@evil", "localhost."),
)


@pytest.mark.parametrize("host", OURS)
def test_it_answers_to_the_names_of_this_machine(board, host) -> None:
    assert ask(board, host=host.format(port=urlsplit(board.url).port))[0] == 200


@pytest.mark.parametrize("host", THEIRS)
@pytest.mark.parametrize("path", ["/", "/api/studies", "/api/events?study=tune", "/plotly.min.js"])
def test_it_answers_to_no_other_name(board, host, path) -> None:
    status, _, text = ask(board, path, host=host)
    assert status == 403
    assert "tune" not in text


def test_two_hosts_or_none_are_refused(board) -> None:
    place = urlsplit(board.url)
    for hosts in ([], ["localhost", "evil.example"]):
        lines = "".join(f"Host: {host}\r\n" for host in hosts)
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=30) as connection:
            connection.sendall(f"GET /api/studies HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            status = connection.recv(4096).split(b" ")[1]
        assert status in (b"400", b"403")


@pytest.mark.parametrize(("hosts", "status"), [(["localhost"], 200), ([], 403), (["localhost", "evil.example"], 403)])
def test_the_guard_itself_wants_one_host(hosts, status) -> None:
    sent = []

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def keep(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host.encode()) for host in hosts]}
    asyncio.run(Guard(page, ["localhost"])(scope, lambda: None, keep))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
    assert dict(sent[0]["headers"])[b"x-frame-options"] == b"DENY"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/api/studies", "/api/trial?study=tune&number=0", "/api/events?study=tune"])
def test_nothing_can_be_written(board, method, path) -> None:
    assert ask(board, path, method)[0] == 405


def test_every_answer_says_what_it_may_be_used_for(board) -> None:
    for path in ("/", "/board.js", "/api/studies", "/nothing", "/api/summary?study=nobody"):
        _, headers, _ = ask(board, path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    _, headers, _ = ask(board, "/api/studies", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in headers


def test_files_of_the_machine_are_not_served(board) -> None:
    for path in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/board.js", "/board.js/../server.py"):
        assert ask(board, path)[0] == 404


def test_what_cannot_be_answered_is_a_sentence_and_no_page(board) -> None:
    name = quote("<script>alert(1)</script>")
    status, headers, text = ask(board, f"/api/summary?study={name}")
    assert status == 400
    assert headers["content-type"].startswith("text/plain")
    assert "has no study" in text
    assert ask(board, "/api/figure?study=tune&figure=histogram")[0] == 400


def test_answers_are_json(board) -> None:
    status, headers, text = ask(board, "/api/trials?study=tune&count=3&sort=value%200&down=false")
    assert status == 200
    assert headers["content-type"] == "application/json"
    rows = json.loads(text)["data"]["rows"]
    assert len(rows) == 3
    assert rows[0]["values"] < rows[1]["values"] < rows[2]["values"]
    packed = ask(board, "/api/figure?study=tune&figure=history", headers={"Accept-Encoding": "gzip"})
    assert packed[1]["content-encoding"] == "gzip"


def test_reading_leaves_the_file_as_it_is(file, board) -> None:
    before = file.read_bytes()
    for question in ("studies", "summary?study=tune", "failures?study=tune", "figure?study=tune&figure=slice"):
        assert ask(board, f"/api/{question}")[0] == 200
    assert file.read_bytes() == before


def test_changes_are_told_as_they_come(tmp_path) -> None:
    path = tmp_path / "tune.db"
    with Study(path, method=Uniform(), key=0) as study, Board(path, port=0) as board:
        with urllib.request.urlopen(f"{board.url}api/events?study=study", timeout=30) as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            assert events.readline() == b"event: change\n"
            first = json.loads(events.readline().removeprefix(b"data: "))["version"]
            study.run(lambda trial: trial.float("x", 0, 1), trials=1)
            events.readline()
            assert events.readline() == b"event: change\n"
            assert json.loads(events.readline().removeprefix(b"data: "))["version"] > first
        with urllib.request.urlopen(f"{board.url}api/events?study=nobody", timeout=30) as events:
            assert events.read() == b""


def test_it_ends_while_somebody_watches(file) -> None:
    before = threading.active_count()
    with Board(file, port=0) as board:
        events = urllib.request.urlopen(f"{board.url}api/events?study=tune", timeout=30)
        events.readline()
    events.close()
    assert threading.active_count() <= before
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(board.url, timeout=5)


def test_a_port_that_is_taken_and_one_that_is_none_are_sentences(board, file) -> None:
    port = urlsplit(board.url).port
    with pytest.raises(InvalidValue, match=f"127.0.0.1:{port} cannot be listened to"):
        Board(file, port=port)
    with pytest.raises(InvalidValue, match="is no port"):
        Board(file, port=99999)
    with pytest.raises(InvalidValue, match="there is no file"):
        Board(file.with_name("nothing.db"))


def test_another_name_can_be_allowed(file) -> None:
    with Board(file, port=0, hosts=("board.example",)) as board:
        assert ask(board, host="board.example:80")[0] == 200
        assert ask(board, host="other.example")[0] == 403


# in a browser

VIEWS = ("overview", "parameters", "trials", "failures", "workers", "compare")
FOREIGN = "#main img, #main script, #main b, #main iframe, header img, header script, header b"


def names_in(file):
    with Reader(file) as reader:
        return reader.names()


def test_the_page_follows_a_study_that_runs(browser, tmp_path) -> None:
    path = tmp_path / "tune.db"
    with Study(path, method=Uniform(), key=0) as study, Board(path, port=0) as board:
        study.run(lambda trial: trial.float("x", 0, 1), trials=3)
        browser.open(board.url)
        browser.until("document.querySelector('#status').className === 'live'")
        assert browser.until("[...document.querySelectorAll('.big')].map((one) => one.textContent)[1]") == "3"
        study.run(lambda trial: trial.float("x", 0, 1), trials=4)
        browser.until("[...document.querySelectorAll('.big')][1].textContent === '7'")
        browser.run("location.hash = '#trials/study'")
        browser.until("document.querySelectorAll('tbody tr').length === 7")
        study.run(lambda trial: trial.float("x", 0, 1), trials=1)
        browser.until("document.querySelectorAll('tbody tr').length === 8")
        assert not browser.complaints
        assert all(url.startswith((board.url, "data:", "about:")) for url in browser.asked)
    browser.until("document.querySelector('#status').className === 'lost'")


def test_no_name_is_run_by_the_live_page(browser, file, board) -> None:
    browser.open(f"{board.url}?still")
    for name in names_in(file):
        for view in VIEWS:
            browser.show(view, name)
            assert browser.run("window.pwned === undefined")
            assert browser.run(f"document.querySelectorAll('{FOREIGN}').length") == 0
    assert not browser.complaints
