"""Listings of Google Cloud Storage, by gcsfs from a server on 127.0.0.1 that gives them in pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

pytest.importorskip("gcsfs")

import fsspec

from humanparse import remote
from humanparse.bulk.sources import open_source
from humanparse.errors import GoneError, StorageError
from humanparse.remote import access

MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="


class Google:
    """A bucket named `photos`; each page of its listing has at most `page` objects."""

    def __init__(self, names: list[str], page: int) -> None:
        self.names, self.page = sorted(names), page
        self.asked: list[dict[str, str]] = []
        self.faults: list[int] = []

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        url = urlsplit(path)
        if unquote(url.path) != "/storage/v1/b/photos/o":
            return 404, {"error": {"message": "The specified bucket does not exist."}}
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append(asked)
        if self.faults:
            return self.faults.pop(0), {"error": {"message": "told to"}}
        following = [
            name
            for name in self.names
            if name.startswith(asked.get("prefix", "")) and name >= asked.get("pageToken", "")
        ]
        size = min(self.page, int(asked.get("maxResults", 1000)))
        items = [{"name": name, "size": "9", "etag": "CJ", "md5Hash": MD5} for name in following[:size]]
        found: dict[str, Any] = {"kind": "storage#objects", **({"items": items} if items else {})}
        return 200, found | ({"nextPageToken": following[size]} if len(following) > size else {})


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    names = ["a/1.jpg", "a/2.jpg", "a/", "a/ö b.jpg", "ab.jpg", "b/.hidden.jpg", "b/3.jpg", "b/notes.txt"]
    storage = Google([*(f"train/{name}" for name in names), "other/x.jpg", "train.jpg"], page=3)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, found = storage.answer(self.path)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    monkeypatch.setattr(access, "_PAUSES", (0.02, 0.02, 0.02, 0.02))
    access._opened.clear()
    yield storage
    access._opened.clear()
    server.shutdown()
    server.server_close()


def test_all_pages_of_a_listing_are_read(google: Google) -> None:
    found = list(remote.listed("gs://photos/train"))
    names = ["a/1.jpg", "a/2.jpg", "a/ö b.jpg", "ab.jpg", "b/.hidden.jpg", "b/3.jpg", "b/notes.txt"]
    assert [one.name for one in found] == names
    assert {(one.size, one.mark) for one in found} == {
        (9, remote.listing.number_of("d41d8cd98f00b204e9800998ecf8427e"))
    }
    assert [asked.get("pageToken") for asked in google.asked] == [None, "train/a/ö b.jpg", "train/b/3.jpg"]
    assert {asked["prefix"] for asked in google.asked} == {"train/"}


def test_labelling_begins_after_the_first_page(google: Google) -> None:
    source = open_source("gs://photos/train", "")
    listing = iter(source.listing())
    assert next(listing).place == "a/1.jpg" and len(google.asked) == 1
    assert [one.place for one in listing] == ["a/2.jpg", "a/ö b.jpg", "ab.jpg", "b/3.jpg"]
    assert sum(source.left_out().values()) == 1
    google.asked.clear()
    assert [one.place for one in open_source("gs://photos/train/a/*.jpg", "").listing()][:1] == ["1.jpg"]
    assert len(google.asked) == 2 and google.asked[0]["prefix"] == "train/a/"


def test_a_page_that_fails_is_asked_for_again_and_errors_say_why(google: Google) -> None:
    listing = remote.listed("gs://photos/train")
    next(listing)
    google.faults += [500]
    assert len(list(listing)) == 6 and len(google.asked) == 4
    assert list(remote.listed("gs://photos/nothing")) == []
    with pytest.raises(GoneError, match="no such bucket"):
        list(remote.listed("gs://elsewhere/train"))
    google.faults += [403]
    with pytest.raises(StorageError, match=r"access was refused .*check the credentials"):
        list(remote.listed("gs://photos/train"))
