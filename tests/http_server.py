"""A web server on 127.0.0.1 that misbehaves as told: cuts, stalls, lies, redirects, asks for confirmation.

with Server() as server:
    server.answer("/a.pth", Answer(BODY, cut_after=1000), Answer(BODY))
    ...                                  # the first request is cut, all later ones are served whole
    server.seen("/a.pth")[1].headers["Range"]
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

COMMIT = "a" * 40


@dataclass(frozen=True)
class Answer:
    """What one request gets; by default the whole body, correctly, with Range and ETag."""

    body: bytes = b""
    status: int = 200
    cut_after: int | None = None  # bytes; then the connection is closed
    stall_after: int | None = None  # bytes; then nothing more comes
    pause: float = 0.0  # seconds before the answer
    length: int | None = None  # a Content-Length that lies
    ranges: bool = True
    etag: str | None = "by its content"
    kind: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    query: dict[str, str]
    headers: dict[str, str]


class Server:
    """Answers by path; what no answer was set for is 404."""

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self._seen: list[tuple[str, Seen]] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, *answers: Answer) -> str:
        """Give these answers in turn, the last one for ever; returns the address."""
        self._answers[path] = list(answers)
        return self.url + path

    def hugging_face(
        self,
        repo: str,
        name: str,
        body: bytes,
        *,
        revision: str = "main",
        commit: str = COMMIT,
        claimed: bytes | None = None,
    ) -> None:
        """Hold a file as a Hugging Face hub does, or only claim to: the headers are those of another file."""
        told = body if claimed is None else claimed
        good = hashlib.sha256(told).hexdigest()
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{good}"',
            "X-Linked-Size": str(len(told)),
        }
        self.answer(f"/{repo}/resolve/{revision}/{name}", Answer(body, etag=f'"{good}"', headers=headers))

    def seen(self, path: str, method: str = "GET") -> list[Seen]:
        """The requests that came for this path."""
        return [seen for where, seen in self._seen if where == path and seen.method == method]

    def count(self) -> int:
        """All requests that came."""
        return len(self._seen)

    def _next(self, path: str, seen: Seen) -> Answer:
        with self._lock:
            self._seen.append((path, seen))
            answers = self._answers.get(path, [Answer(status=404)])
            return answers.pop(0) if len(answers) > 1 and seen.method == "GET" else answers[0]

    def _handler(outer) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                answer = outer._next(url.path, Seen(self.command, query, dict(self.headers.items())))
                outer._over.wait(answer.pause)
                body = self.send_head(answer)
                if self.command == "GET":
                    self.send_body(answer, body)

            do_HEAD = do_GET

            def send_head(self, answer: Answer) -> bytes:
                body, status, extra = answer.body, answer.status, dict(answer.headers)
                etag = (
                    f'"{hashlib.md5(body).hexdigest()}"' if answer.etag == "by its content" else answer.etag
                )
                asked = self.headers.get("Range")
                if asked and answer.ranges and status == 200 and self.headers.get("If-Range") in (None, etag):
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(body):
                        body, status, extra["Content-Range"] = b"", 416, f"bytes */{len(body)}"
                    else:
                        extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                        body, status = body[start:], 206
                self.send_response(status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(len(body) if answer.length is None else answer.length))
                if etag:
                    self.send_header("ETag", etag)
                self.send_header("Connection", "close")
                for key, value in extra.items():
                    self.send_header(key, value)
                self.end_headers()
                return body

            def send_body(self, answer: Answer, body: bytes) -> None:
                try:
                    if answer.stall_after is not None:
                        self.wfile.write(body[: answer.stall_after])
                        self.wfile.flush()
                        outer._over.wait(30)
                    else:
                        self.wfile.write(body[: answer.cut_after])
                except OSError:
                    pass  # the other side went away first

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll a condition until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
