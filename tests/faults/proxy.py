"""A TCP proxy on loopback in front of a server's Unix socket, which can misbehave as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from enum import StrEnum
from pathlib import Path

from tests.fixtures.ports import free_port

_BLOCK = 64 * 1024
_LINGER_RESET = struct.pack("ii", 1, 0)  # closing sends RST, not FIN


class Weather(StrEnum):
    """What the proxy does with bytes and connections."""

    FAIR = "fair"
    REFUSE = "refuse"  # what is open is closed, what is new is refused
    BLACK_HOLE = "black hole"  # what is open and what is new stays open, and nothing gets through
    RESET = "reset"  # what is open and what is new is reset


class Proxy:
    """Forwards ``127.0.0.1:port`` to ``upstream``; all of it on one background thread."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._weather = Weather.FAIR
        self._fair = asyncio.Event()
        self._fair.set()
        self._writers: set[asyncio.StreamWriter] = set()
        # Asked for by number: a port that the kernel chose is lost as soon as the socket stops listening.
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener.setblocking(False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def set(self, weather: Weather) -> None:
        """Change the weather; returns when it is in force."""
        asyncio.run_coroutine_threadsafe(self._change(weather), self._loop).result(60)

    def close(self) -> None:
        """End every connection and stop listening."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in (accepting, *tasks):
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    async def _change(self, weather: Weather) -> None:
        self._weather = weather
        if weather is Weather.REFUSE:
            # A bound socket that does not listen refuses, and keeps its port.
            self._listener.shutdown(socket.SHUT_RD)
        else:
            self._listener.listen(128)
        if weather is Weather.FAIR:
            self._fair.set()
        else:
            self._fair.clear()
        if weather in {Weather.REFUSE, Weather.RESET}:
            for writer in tuple(self._writers):
                _end(writer, reset=weather is Weather.RESET)

    async def _accept(self) -> None:
        serving: set[asyncio.Task[None]] = set()
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # not listening at present
                await asyncio.sleep(0.02)
                continue
            task = self._loop.create_task(self._serve(accepted))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        self._writers.add(writer)
        try:
            if self._weather is Weather.RESET:
                _end(writer, reset=True)
                return
            await self._fair.wait()
            try:
                far_reader, far_writer = await asyncio.open_unix_connection(str(self._upstream))
            except OSError:
                return
            self._writers.add(far_writer)
            try:
                directions = [
                    self._loop.create_task(self._pump(reader, far_writer)),
                    self._loop.create_task(self._pump(far_reader, writer)),
                ]
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
            finally:
                self._writers.discard(far_writer)
                far_writer.close()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(_BLOCK):
                await self._fair.wait()
                writer.write(block)
                await writer.drain()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    raw = writer.get_extra_info("socket")
    if reset and raw is not None and raw.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()
