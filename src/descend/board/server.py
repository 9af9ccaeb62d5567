"""The live page: a small server on this machine that reads a file of studies and can write nothing.

The only file that imports Starlette and uvicorn. Whoever asks must name this machine in the Host header: a page of
somebody else's, whose name has been made to point here (DNS rebinding), is refused. All routes only read, and no answer
may be read by another site.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from os import PathLike
from types import TracebackType
from typing import Self

from descend.board.answers import Answers
from descend.board.page import LIVE_POLICY, live_page, script, style
from descend.board.reader import Reader
from descend.errors import DescendError, InvalidValue, MissingExtra
from descend.plot.study._plotly import SCRIPT

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import Request
    from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as missing:
    raise MissingExtra("starlette", "board") from missing

__all__ = ["Board", "Guard", "application", "dashboard"]

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANYWHERE = ("", "0.0.0.0", "::")
_PAUSE = 1.0  # seconds between two looks at the log, while somebody is watching
_SILENCE = 15.0  # seconds after which a line says that the server is still there

_HEADERS = {
    "content-security-policy": LIVE_POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "x-frame-options": "DENY", "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
}  # fmt: skip


class Guard:
    """Answers only those that call this machine by one of its names, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.decode() not in _HEADERS]
                message["headers"] = [*kept, *((name.encode(), value.encode()) for name, value in _HEADERS.items())]
            await send(message)

        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 or _without_port(named[0]).lower() not in self._hosts:
            refusal = PlainTextResponse("This page is asked for by its own address only.\n", 403)
            await refusal(scope, receive, dressed)
        else:
            await self._app(scope, receive, dressed)


def _without_port(host: str) -> str:
    """The name in a Host header.

    >>> _without_port("localhost:8080"), _without_port("[::1]:8080"), _without_port("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def application(reader: Reader, hosts: Sequence[str] = _LOOPBACK) -> Starlette:
    """The page and what it asks for, as an ASGI application.

    Args:
        reader: of the studies.
        hosts: names and addresses by which this machine may be called.
    """
    answers = Answers(reader)

    def asked(question: Callable[..., bytes]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            query = {name: request.query_params.getlist(name) for name in request.query_params}
            try:
                return Response(question(query), media_type="application/json")
            except InvalidValue as error:
                return PlainTextResponse(str(error), 400)
            except DescendError as error:
                return PlainTextResponse(str(error), 503)

        return answer

    def text(content: str, kind: str) -> Callable[[Request], Response]:
        return lambda request: Response(content, media_type=kind)

    async def events(request: Request) -> Response:
        name = request.query_params.get("study", "")
        return StreamingResponse(_changes(reader, name), media_type="text/event-stream")

    routes = [
        Route("/", text(live_page(), "text/html")),
        Route("/board.css", text(style(), "text/css")),
        Route("/board.js", text(script(), "text/javascript")),
        Route("/plotly.min.js", lambda request: FileResponse(SCRIPT, media_type="text/javascript")),
        Route("/api/events", events),
        *(Route(f"/api/{name}", asked(question)) for name, question in answers.questions.items()),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts), Middleware(GZipMiddleware)])


async def _changes(reader: Reader, name: str) -> AsyncIterator[str]:
    """A line whenever the study has changed, and one from time to time that says nothing."""
    last, silent = -1, 0.0
    while True:
        try:
            version = await run_in_threadpool(reader.version, name)
        except DescendError:
            return
        if version != last:
            yield f"event: change\ndata: {json.dumps({'version': version})}\n\n"
            last, silent = version, 0.0
        elif silent >= _SILENCE:
            yield ": still here\n\n"
            silent = 0.0
        await asyncio.sleep(_PAUSE)
        silent += _PAUSE


class Board:
    """The live page over a file of studies, listening from the moment it is made. Used as a context manager.

    Args:
        path: of the file, or a URL.
        host: the address that it listens at; default this machine only.
        port: 0 takes any that is free; default 8080.
        hosts: further names by which it may be called; needed where it listens to other machines under such names.

    Raises:
        InvalidValue: there is no such file, or nothing can be listened to there.
        MissingExtra: Starlette, uvicorn or plotly is not installed: pip install 'descend[board]'.

    >>> import tempfile, urllib.request
    >>> from descend.study.study import Study
    >>> path = tempfile.mkdtemp() + "/tune.db"
    >>> with Study(path, key=0) as study:
    ...     reason = study.run(lambda trial: trial.float("x", 0, 1) ** 2, trials=3)
    >>> with Board(path, port=0) as board:
    ...     urllib.request.urlopen(board.url).status
    200
    """

    def __init__(
        self, path: str | PathLike[str], host: str = "127.0.0.1", port: int = 8080, hosts: Sequence[str] = ()
    ) -> None:
        if isinstance(port, bool) or not 0 <= port < 65536:
            raise InvalidValue(f"port={port!r} is no port; write one from 1024 to 65535, or 0 for any that is free")
        reader = Reader(path)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            reader.close()
            raise InvalidValue(f"{host}:{port} cannot be listened to: {error.strerror}; write another --port") from None
        self._reader = reader
        bracketed = f"[{host}]" if ":" in host else host
        anywhere = host in _ANYWHERE
        shown = "127.0.0.1" if anywhere else bracketed
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}/"
        everyone = [*_LOOPBACK, socket.gethostname() if anywhere else bracketed, *hosts]
        config = uvicorn.Config(
            application(reader, everyone), log_level="critical", access_log=False, lifespan="off",
            timeout_graceful_shutdown=1, server_header=False, proxy_headers=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="descend-board", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self.close()

    def run(self) -> None:
        """Serve until the process is told to end, by Ctrl-C for example."""
        try:
            self._run()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the port and of the file."""
        self._socket.close()
        self._reader.close()

    def _run(self) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])


def dashboard(
    path: str | PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8080,
    hosts: Sequence[str] = (),
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the live page over a file of studies until the process is told to end; see `Board`.

    Args:
        path: of the file.
        host: see `Board`.
        port: see there.
        hosts: see there.
        ready: called with the address of the page once it can be opened.

    Raises:
        InvalidValue, MissingExtra: as for `Board`.
    """
    board = Board(path, host, port, hosts)
    if ready is not None:
        ready(board.url)
    board.run()
