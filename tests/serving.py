"""A service in this process, behind a real server on 127.0.0.1, and raw sockets to misuse it with."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import uvicorn
from PIL import Image

from humanparse import Parser
from humanparse.serve import ServeSettings, create_app
from humanparse.serve.protocol import PunctualProtocol
from humanparse.serve.service import Service


@dataclass(frozen=True)
class Served:
    """A running service."""

    port: int
    client: httpx.Client
    service: Service
    server: uvicorn.Server

    def post(self, content: bytes, kind: str = "image/png", **query: str) -> httpx.Response:
        """Send a picture as it is."""
        return self.client.post("/v1/parse", content=content, headers={"Content-Type": kind}, params=query)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def serving(settings: ServeSettings, parsers: dict[str, Parser], ready: bool = True) -> Iterator[Served]:
    """A service for the length of the block, which begins when it is ready, and ends with all work done."""
    app = create_app(settings, parsers)
    config = uvicorn.Config(app, port=0, http=PunctualProtocol, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    port = sock.getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        until(lambda: server.started)
        until(lambda: not ready or client.get("/readyz").status_code == 200)
        try:
            yield Served(port, client, app.state.service, server)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def until(true: Any, seconds: float = 30) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def png(photo: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def pieces(photo: npt.NDArray[np.uint8], count: int) -> list[npt.NDArray[np.uint8]]:
    """Different pictures of different sizes, all out of one photo."""
    height, width = photo.shape[:2]
    sizes = ((2, 2), (2, 3), (3, 2), (3, 3))
    found = []
    for number in range(count):
        part_h, part_w = sizes[number % 4]
        tall, wide = height // part_h, width // part_w
        top = 7 * number % (height - tall)
        left = 11 * number % (width - wide)
        found.append(np.ascontiguousarray(photo[top : top + tall, left : left + wide]))
    return found


def reply(sock: socket.socket) -> tuple[int, bytes]:
    """(status, body) of what a raw connection is answered until it is closed."""
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head else 0, body


class Gate:
    """Holds a parser's network until it is opened.

    Args:
        parser: one of a single network.
    """

    def __init__(self, parser: Parser) -> None:
        self._pipeline: Any = parser.pipeline
        self._network = self._pipeline.network
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.passed = 0

    def __enter__(self) -> Gate:
        self._pipeline.__dict__["network"] = self._held
        return self

    def __exit__(self, *exc: object) -> None:
        self.opened.set()
        self._pipeline.__dict__["network"] = self._network

    def _held(self, batch: Any) -> Any:
        self.reached.set()
        assert self.opened.wait(30)
        self.passed += len(batch)
        return self._network(batch)
