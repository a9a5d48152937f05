"""One serving process from its start to its end."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop

from functions.predict.bundle import BundleError
from functions.predict.core import Core

from .app import App
from .connection import Connection, Connections
from .log import Log
from .metrics import Metrics
from .settings import Settings
from .sources import source_of
from .watch import Watch

if TYPE_CHECKING:
    from .workers import Share

BACKLOG = 1024
MOST_CONNECTIONS = 10_000
SPARE_FILES = 64
SETTLE_SECONDS = 0.25
"""How long after the signal to end idle callers are kept: who sends meanwhile is told that it ends."""
GRACE_SECONDS = 20.0
"""How long requests that have begun to arrive are waited for: less than orchestrators wait to kill."""
Ready = Callable[[int, Core], None]


class StartError(Exception):
    """The server cannot start. Says why and what to do."""


def open_first(settings: Settings, watch: Watch) -> Core:
    """Open the first bundle. Raises StartError where there is none and none is waited for."""
    try:
        core = watch.first()
    except BundleError as error:
        if not settings.poll_seconds:
            raise StartError(str(error)) from error
        watch.refuse(error)
        return Core(None, settings.workload)
    except OSError as error:
        raise StartError(f"the bundle cannot be read: {error}") from error
    if core.bundle is None and not settings.poll_seconds:
        raise StartError(
            f"{settings.bundle} holds no manifest.json: name a bundle, or set --poll-seconds to wait for one"
        )
    return core


def bind(settings: Settings) -> socket.socket:
    """Take the address that the settings name. Raises StartError where that cannot be."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((settings.host, settings.port))
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise StartError(f"cannot listen on {place}: {error}; name another with --host or --port") from error
    return opened


def listen(settings: Settings) -> socket.socket:
    """Listen where the settings say. Raises StartError where that cannot be."""
    opened = bind(settings)
    try:
        opened.listen(BACKLOG)
    except OSError as error:  # two may bind an address, one may listen
        place = f"{settings.host}:{settings.port}"
        raise StartError(f"cannot listen on {place}: {error}; name another with --host or --port") from error
    opened.setblocking(False)
    return opened


def serve(settings: Settings, log: Log, ready: Ready | None = None, share: Share | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError.

    ``ready`` is told the port and what answers; ``share`` is this process's part where it is one of several.
    """
    metrics = Metrics(share.total if share else None)
    watch = Watch(source_of(settings.bundle), settings.workload, log, metrics)
    core = open_first(settings, watch)
    app = App(core, metrics, log, access=settings.access_log)
    opened = listen(settings)
    port = opened.getsockname()[1]
    tell(log, "listening", core, host=settings.host, port=port)
    if core.slow:
        log.error("slower than need be", problem=core.slow)
    if ready:
        ready(port, core)
    uvloop.run(Process(settings, app, watch, log, share).run(opened))


def most_connections() -> int:
    """Return how many connections may be open: what the system allows, less what the process itself needs."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(allowed - SPARE_FILES, 1), MOST_CONNECTIONS)


def tell(log: Log, message: str, core: Core, **more: str | int) -> None:
    """Say what is served from now on."""
    version = core.bundle.manifest.version if core.bundle else None
    log.info(message, workload=core.workload, version=version, **more)


class Process:
    """The loop's life: begin, watch and sweep, end."""

    def __init__(self, settings: Settings, app: App, watch: Watch, log: Log, share: Share | None) -> None:
        self._settings, self._app, self._watch, self._log = settings, app, watch, log
        self._share, self._told = share, asyncio.Event()

    async def run(self, opened: socket.socket) -> None:
        """Answer on ``opened`` until told to end, then answer what has been accepted, and return."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._told.set)
        loop.set_exception_handler(self._fail)
        connections = Connections(self._app, loop.time, most_connections())
        server = await loop.create_server(lambda: Connection(connections), sock=opened)
        ticks = asyncio.create_task(self._tick(connections))
        if self._settings.poll_seconds:
            take = partial(self._take_soon, loop)
            self._watch.begin(self._settings.poll_seconds, take)
        await self._told.wait()
        self._log.info("ending", connections=len(connections))
        await end(server, opened, connections, self._log)
        ticks.cancel()
        self._log.info("ended")

    def _fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Write what went wrong outside of a request's answer; its connection ends."""
        error = context.get("exception")
        self._log.failure("", "connection", error or RuntimeError())

    def _take_soon(self, loop: asyncio.AbstractEventLoop, core: Core) -> None:
        loop.call_soon_threadsafe(self._take, core)

    def _take(self, core: Core) -> None:
        self._app.serve(core)
        tell(self._log, "bundle taken over", core)

    async def _tick(self, connections: Connections) -> None:
        while True:
            await asyncio.sleep(1)
            try:
                connections.sweep()
                self._app.tick()
            except Exception as error:  # such as no file to be had: the next second may go well
                self._log.failure("", "tick", error)
            if self._share and self._share.orphaned:
                self._told.set()


async def end(server: asyncio.Server, opened: socket.socket, connections: Connections, log: Log) -> None:
    """Accept who is waiting already, then nobody; answer every request that has begun to arrive."""
    loop = asyncio.get_running_loop()
    connections.ending = True
    for waiting in _close(server, opened):
        await loop.connect_accepted_socket(lambda: Connection(connections), waiting)
    until = loop.time() + GRACE_SECONDS
    await asyncio.sleep(SETTLE_SECONDS)
    while connections and loop.time() < until:
        for each in list(connections):
            each.leave()
        await asyncio.sleep(0.02)
    if connections:
        log.error("callers were cut off", connections=len(connections), waited_seconds=GRACE_SECONDS)
    for each in list(connections):
        each.abort()


def _close(server: asyncio.Server, opened: socket.socket) -> list[socket.socket]:
    """Close the door behind those who stand in it: what the system has accepted for us is not dropped."""
    waiting = []
    while True:
        try:
            waiting.append(opened.accept()[0])
        except OSError:
            server.close()
            return waiting
