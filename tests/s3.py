"""An S3 server on 127.0.0.1 (moto), and a proxy before it that cuts, stalls, lies and refuses as told.

with Bucket() as bucket:
    bucket.put("photos/a.jpg", content)
    bucket.faults.add("GET", "photos/a.jpg", Fault(cut_after=100))
    ...                                  # the first request for it is cut, later ones are served whole
"""

from __future__ import annotations

import http.client
import logging
import os
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest

NAME = "photo-bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests"}


@dataclass(frozen=True)
class Fault:
    """What happens to one request."""

    status: int = 0  # this answer instead of the server's
    code: str = "SlowDown"
    cut_after: int | None = None  # bytes of the body; then the connection is closed
    pause: float = 0.0  # seconds before the answer
    length: int | None = None  # this many bytes more are promised than come


class Faults:
    """Which requests meet which faults; each fault happens once."""

    def __init__(self) -> None:
        self._set: list[tuple[str, str, Fault]] = []
        self._lock = threading.Lock()
        self._random: tuple[random.Random, float] | None = None
        self.met = 0

    def add(self, method: str, part: str, *faults: Fault) -> None:
        """The next requests of this kind whose address holds `part`."""
        self._set += [(method, part, fault) for fault in faults]

    def at_random(self, share: float, seed: int = 0) -> None:
        """A share of all requests meets some fault."""
        self._random = (random.Random(seed), share) if share else None

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            for one in self._set:
                if one[0] == method and one[1] in unquote(path):
                    self._set.remove(one)
                    self.met += 1
                    return one[2]
            if self._random is not None and self._random[0].random() < self._random[1]:
                self.met += 1
                kinds = (Fault(503), Fault(500, "InternalError"), Fault(cut_after=40), Fault(pause=0.3))
                return self._random[0].choice((*kinds, Fault(length=7)))
        return None


class Bucket:
    """A bucket named `NAME` on a server of its own; the environment names the server while it is entered."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.uploads_per_page = 1000

    def __enter__(self) -> Bucket:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(host, port))
        self._proxy.daemon_threads = True
        self._proxy.handle_error = lambda *about: None  # type: ignore[method-assign]  # clients are killed
        threading.Thread(target=self._proxy.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        self.environment = {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.url}
        import boto3

        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()  # moto's servers of one process share what they hold
        self.client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **_BOTO)
        self.client.create_bucket(Bucket=NAME)
        return self

    def __exit__(self, *exc: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._server.stop()

    def put(self, key: str, content: bytes) -> str:
        """Put an object past the proxy; returns its address."""
        self.client.put_object(Bucket=NAME, Key=key, Body=content)
        return f"s3://{NAME}/{key}"

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Put all files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{NAME}/{prefix}"

    def files(self, prefix: str) -> dict[str, bytes]:
        """Name below the prefix -> content of all objects but a run's own."""
        return {
            key.removeprefix(f"{prefix}/"): self.get(key)
            for key in self.keys(prefix)
            if "/.humanparse/" not in key
        }

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=NAME, Prefix=f"{prefix}/")
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def uploads(self) -> list[Any]:
        """Multipart uploads that were begun and neither completed nor discarded."""
        found: list[Any] = self.client.list_multipart_uploads(Bucket=NAME).get("Uploads", [])
        return found

    def get(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client.get_object(Bucket=NAME, Key=key)["Body"].read()
        return content

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=NAME, Key=key)

    def count(self, method: str, part: str = "") -> int:
        """Requests of a kind that came through the proxy."""
        return sum(one == method and part in unquote(path) for one, path in self.requests)

    def _page_of_uploads(self, path: str, content: bytes) -> bytes:
        """The answer to a request for unfinished uploads, cut into pages, which moto does not do."""
        asked = parse_qs(urlsplit(path).query, keep_blank_values=True)
        if "uploads" not in asked or not content.startswith(b"<?xml"):
            return content
        tree = ElementTree.fromstring(content)
        space = tree.tag.partition("}")[0] + "}"
        names = [f"{space}Key", f"{space}UploadId"]
        uploads = {
            tuple(one.findtext(name, "") for name in names): one for one in tree.iter(f"{space}Upload")
        }
        marker = (asked.get("key-marker", [""])[0], asked.get("upload-id-marker", [""])[0])
        following = sorted(one for one in uploads if one > marker)
        page = following[: min(self.uploads_per_page, int(asked.get("max-uploads", ["1000"])[0]))]
        for name, upload in uploads.items():
            if name not in page:
                tree.remove(upload)
        if page != following:
            tree.find(f"{space}IsTruncated").text = "true"  # type: ignore[union-attr]
            for name, value in zip(("NextKeyMarker", "NextUploadIdMarker"), page[-1], strict=True):
                ElementTree.SubElement(tree, space + name).text = value
        return ElementTree.tostring(tree)

    def _handler(outer, host: str, port: int) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                outer.requests.append((self.command, self.path))
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else self.chunks()
                if length and len(body) < length:  # the client died; no storage keeps half an object
                    self.close_connection = True
                    return None
                fault = outer.faults.next(self.command, self.path) or Fault()
                time.sleep(fault.pause)
                if fault.status:
                    return self.refuse(fault)
                headers = {
                    name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"
                }
                headers["Content-Length"] = str(len(body))
                connection = http.client.HTTPConnection(host, port)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = outer._page_of_uploads(self.path, answer.read())
                connection.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date"):
                        self.send_header(name, value)
                told = len(content)
                if self.command == "HEAD":
                    told = int(answer.getheader("Content-Length") or 0)
                self.send_header("Content-Length", str(told + (fault.length or 0)))
                broken = fault.cut_after is not None or fault.length is not None
                if broken:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content[: fault.cut_after])

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

            def chunks(self) -> bytes:
                if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
                    return b""
                found = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return found

            def refuse(self, fault: Fault) -> None:
                said = f"<Error><Code>{fault.code}</Code><Message>told to</Message></Error>".encode()
                self.send_response(fault.status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


_BOTO: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"],
}


@contextmanager
def entered() -> Iterator[Bucket]:
    """A bucket, and the environment that leads to it; what was opened before is forgotten."""
    from humanparse import Parser
    from humanparse.remote import access

    with pytest.MonkeyPatch.context() as patch, Bucket() as bucket:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        patch.setattr(access, "_PAUSES", (0.02, 0.02, 0.02, 0.02))
        patch.setattr(Parser, "of", cache(Parser.of))  # loading takes longer than labelling
        access._opened.clear()
        yield bucket
        access._opened.clear()
