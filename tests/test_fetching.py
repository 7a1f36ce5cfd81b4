"""Pictures by address: logins, compression, redirects, and what messages tell of them."""

from __future__ import annotations

import base64
import gzip
import io
import time
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import Run, runner
from golden import SMALL
from http_server import Answer, Server

from humanparse import ImageError, image

PHOTO = SMALL / "images" / "hopper_97x61.png"
PNG = PHOTO.read_bytes()
PIXELS = image.load(PNG)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


def with_login(url: str, login: str = "me:s3%40cret") -> str:
    return url.replace("http://", f"http://{login}@")


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ("me:s3%40cret", "me:s3@cret"),
        ("me:s3@cret", "me:s3@cret"),
        ("me", "me:"),
        (":word", ":word"),
        ("m%C3%BC:w%2Fo", "mü:w/o"),
    ],
)
def test_a_login_in_the_address_is_sent_as_basic_authentication(
    server: Server, login: str, sent: str
) -> None:
    url = with_login(server.answer("/x.png", Answer(PNG)), login)
    assert np.array_equal(image.load(url), PIXELS)
    (seen,) = server.seen("/x.png")
    assert seen.headers["Authorization"] == basic(sent)
    assert seen.headers["Host"] == server.url.removeprefix("http://")


def test_a_login_is_taken_along_to_the_same_server_only(server: Server) -> None:
    with Server() as other:
        other.answer("/x.png", Answer(PNG))
        server.answer("/x.png", Answer(PNG))
        for place, goal in (("/here", "/x.png"), ("/there", f"{other.url}/x.png")):
            url = server.answer(place, Answer(status=308, headers={"Location": goal}))
            assert np.array_equal(image.load(with_login(url)), PIXELS)
        assert server.seen("/x.png")[0].headers["Authorization"] == basic("me:s3@cret")
        assert "Authorization" not in other.seen("/x.png")[0].headers
        given = with_login(other.url, "you:word") + "/x.png"
        url = server.answer("/told", Answer(status=302, headers={"Location": given}))
        assert np.array_equal(image.load(with_login(url)), PIXELS)
        assert other.seen("/x.png")[1].headers["Authorization"] == basic("you:word")


def test_the_body_of_a_redirect_is_not_awaited(server: Server) -> None:
    goal = {"Location": server.answer("/x.png", Answer(PNG))}
    url = server.answer("/moved", Answer(bytes(9), status=302, stall_after=1, headers=goal))
    start = time.monotonic()
    assert np.array_equal(image.load(url), PIXELS)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("{}/x.png", "404 .*check the address$"),
        ("{}/denied.png", "401 .*check the address, the user name and the password"),
        ("{}/moved", "404"),
        ("http://me:s3cret@127.0.0.1:9/x.png?token=s3cret", "the download failed"),
        ("http://me:s3cret@nowhere.invalid/x.png", "the download failed"),
        ("http://me:s3/cret@127.0.0.1/x.png", "write / . # @ as %2F"),
        ("http://me:s3cret@[::1/x.png", "write / . # @ as %2F"),
        ("http://me:s3cret@/x.png", "names no host"),
        ("ftp://me:s3cret@host/x.png", "only http and https"),
    ],
)
def test_no_message_tells_a_secret(server: Server, run: Run, address: str, reason: str) -> None:
    server.answer("/denied.png", Answer(status=401))
    server.answer("/moved", Answer(status=302, headers={"Location": "/gone?signature=s3cret"}))
    url = address.format(with_login(server.url, "me:s3cret"))
    with pytest.raises(ImageError, match=reason) as caught:
        image.load(url)
    assert str(caught.value).startswith(url.partition("me:")[0] + "…@")
    for told in (str(caught.value), *run_says(run, url)):
        assert "s3cret" not in told and "s3/cret" not in told and "me:" not in told
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)).replace(url, "")


def run_says(run: Run, url: str) -> list[str]:
    done = [run("predict", url, "-o", "out"), run("--debug", "predict", url, "-o", "out")]
    assert [one.status for one in done] == [1, 1]
    return [text for one in done for text in (one.out, one.err)]


def test_blanks_and_line_ends_around_an_address_are_dropped(server: Server, run: Run) -> None:
    url = server.answer("/x.png", Answer(PNG))
    assert np.array_equal(image.load(f" \t{url}\r\n"), PIXELS)
    assert run("predict", f"  {url} ", "-o", "out", "-q").status == 0
    assert Path("out/x.png").is_file()


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PNG)),
        ("GZIP", gzip.compress(PNG[:100]) + gzip.compress(PNG[100:])),
        ("x-gzip", gzip.compress(PNG) + b"\0\0\0"),
        ("deflate", zlib.compress(PNG)),
        ("deflate", raw_deflate(PNG)),
        ("gzip, gzip", gzip.compress(gzip.compress(PNG))),
        ("gzip", PNG),
        ("identity", PNG),
        ("utf-8", PNG),
    ],
)
def test_compression_that_nobody_asked_for_is_undone(server: Server, encoding: str, body: bytes) -> None:
    url = server.answer("/x.png", Answer(body, headers={"Content-Encoding": encoding}))
    assert np.array_equal(image.load(url), PIXELS)


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", gzip.compress(bytes(300_000)), "larger than 200000 bytes"),
        ("gzip", gzip.compress(b"a" * 150_000) * 2, "larger than 200000 bytes"),
        ("gzip, gzip", gzip.compress(gzip.compress(bytes(300_000))), "larger than 200000 bytes"),
        ("deflate", zlib.compress(bytes(300_000)), "larger than 200000 bytes"),
        ("gzip", gzip.compress(PNG)[:-20], "is cut off"),
        ("gzip", gzip.compress(PNG)[:50] + bytes(500), "damaged"),
        ("br", PNG, "with br"),
        ("zstd", PNG, "with zstd"),
    ],
    ids=["one", "two members", "twice", "deflate", "cut", "damaged", "brotli", "zstd"],
)
def test_bombs_and_what_cannot_be_unpacked_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, encoding: str, body: bytes, reason: str
) -> None:
    monkeypatch.setattr(image, "MAX_BYTES", 200_000)
    url = server.answer("/x.png", Answer(body, headers={"Content-Encoding": encoding}))
    with pytest.raises(ImageError, match=reason):
        image.load(url)


def test_a_bomb_costs_no_more_memory_than_the_bound(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr(image, "MAX_BYTES", 1_000_000)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        for _ in range(100):
            file.write(bytes(1_000_000))
    url = server.answer("/x.png", Answer(packed.getvalue(), headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    with pytest.raises(ImageError, match="larger than"):
        image.load(url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
