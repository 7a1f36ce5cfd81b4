"""Pictures by address: what is fetched, and what never is."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from golden import SMALL
from http_server import Answer, Server
from serving import Served, serving

from humanparse import Parser
from humanparse.serve import ServeSettings, urls
from humanparse.serve.refusals import Refusal

JPEG = (SMALL / "images" / "grace_hopper.jpg").read_bytes()
LOCAL = urls.FetchLimits(2_000_000, 5.0, allow_local=True)
PUBLIC = urls.FetchLimits(2_000_000, 5.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def code_of(url: str, limits: urls.FetchLimits) -> str:
    with pytest.raises(Refusal) as caught:
        urls.fetch(url, limits)
    return caught.value.code


def resolving(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names resolve to these addresses; returns the list of names that were asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in names:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [answer for address in names[host] for answer in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::",
    ],
)  # fmt: skip
def test_no_address_of_this_machine_or_a_private_network_is_public(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not urls.is_public(address)
    resolving(monkeypatch, {"pictures.test": ["8.8.8.8", address]})
    assert code_of("http://pictures.test/x.jpg", PUBLIC) == "address_refused"
    literal = f"[{address}]" if ":" in address else address
    assert code_of(f"http://{literal}/x.jpg", PUBLIC) in ("address_refused", "address_failed")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_addresses_on_the_internet_are_public(address: str) -> None:
    assert urls.is_public(address)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "LOCALHOST", "[::1]", "127.0.0.1."],
)
def test_other_spellings_of_this_machine_are_refused_or_unknown(host: str, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    server.answer("/x.jpg", Answer(JPEG))
    assert code_of(f"http://{host}:{port}/x.jpg", PUBLIC) in ("address_refused", "address_failed")
    assert server.count() == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/", "/x.jpg", "x", "", "http://",
        "http://user:word@example.com/x.jpg", "http://example.com:99999/", "http://[::1", "data:image/png,x",
        "http://exa mple.com/", "http://example.com\r\nX: y/", "http://" + "a" * 300 + ".test/",
    ],
)  # fmt: skip
def test_only_web_addresses_without_passwords_are_taken(url: str) -> None:
    assert code_of(url, LOCAL) in ("address_refused", "address_failed")


def test_a_picture_is_fetched_with_its_query_and_without_a_fragment(server: Server) -> None:
    server.answer("/me and you.jpg", Answer(JPEG))
    server.answer("/me%20and%20you.jpg", Answer(JPEG))
    assert urls.fetch(server.url + "/me and you.jpg?size=%202&kind=ü#top", LOCAL) == JPEG
    (seen,) = server.seen("/me%20and%20you.jpg")
    assert seen.query == {"size": " 2", "kind": "ü"}
    assert seen.headers["Host"] == server.url.removeprefix("http://")


def test_compression_that_was_not_asked_for_is_undone_within_the_limit(server: Server) -> None:
    for number, (kind, packed) in enumerate(
        (("gzip", gzip.compress(JPEG)), ("x-gzip", gzip.compress(JPEG)), ("deflate", zlib.compress(JPEG)))
    ):
        url = server.answer(f"/{number}.jpg", Answer(packed, headers={"Content-Encoding": kind}))
        assert urls.fetch(url, LOCAL) == JPEG
        assert server.seen(f"/{number}.jpg")[0].headers["Accept-Encoding"] == "identity"
    bomb = server.answer(
        "/bomb", Answer(gzip.compress(bytes(2_000_001)), headers={"Content-Encoding": "gzip"})
    )
    assert code_of(bomb, LOCAL) == "too_many_bytes"
    for kind, packed in (("br", JPEG), ("gzip", gzip.compress(JPEG)[:-900])):
        url = server.answer("/bad", Answer(packed, headers={"Content-Encoding": kind}))
        assert code_of(url, LOCAL) == "address_failed"


def test_blanks_around_an_address_are_dropped_and_credentials_refused_unspoken(server: Server) -> None:
    server.answer("/x.jpg", Answer(JPEG))
    parser = Parser(device="cpu")
    settings = ServeSettings(allow_urls=True, allow_local=True)
    with serving(settings, {parser.spec.name: parser}) as served:
        url = f" \t{server.url}/x.jpg \r\n"
        for way in ({"json": {"url": url}}, {"files": {"url": (None, url)}}):
            assert served.client.post("/v1/parse", **way).status_code == 200  # type: ignore[arg-type]
        login = server.url.replace("http://", "http://me:s3cret@")
        answer = served.client.post("/v1/parse", json={"url": login})
    assert answer.status_code == 403 and "user name" in answer.text and "s3cret" not in answer.text


def test_a_name_is_resolved_once_and_no_later_answer_counts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("/x.jpg", Answer(JPEG))
    asked = resolving(monkeypatch, {"pictures.test": ["127.0.0.1"]})
    port = server.url.rpartition(":")[2]
    assert urls.fetch(f"http://pictures.test:{port}/x.jpg", LOCAL) == JPEG
    assert asked == ["pictures.test"]
    assert server.seen("/x.jpg")[0].headers["Host"] == f"pictures.test:{port}"


def test_every_redirect_is_checked_like_a_first_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = urls.is_public
    monkeypatch.setattr(urls, "is_public", lambda address: address == "127.0.0.1" or honest(address))
    server.answer("/x.jpg", Answer(JPEG))
    server.answer("/good", Answer(status=302, headers={"Location": "/x.jpg"}))
    assert urls.fetch(server.url + "/good", PUBLIC) == JPEG
    resolving(monkeypatch, {"inner.test": ["127.0.0.2"]})
    port = server.url.rpartition(":")[2]
    for goal in (
        "http://169.254.169.254/latest/meta-data",
        f"http://127.0.0.2:{port}/x.jpg",
        f"http://inner.test:{port}/x.jpg",
        f"//inner.test:{port}/x.jpg",
        "file:///etc/passwd",
        "ftp://8.8.8.8/x",
    ):
        server.answer("/bad", Answer(status=301, headers={"Location": goal}))
        assert code_of(server.url + "/bad", PUBLIC) == "address_refused"
    assert len(server.seen("/x.jpg")) == 1


def test_no_proxy_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    server.answer("/x.jpg", Answer(JPEG))
    with Server() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert urls.fetch(server.url + "/x.jpg", LOCAL) == JPEG
        assert code_of(server.url + "/x.jpg", PUBLIC) == "address_refused"
        assert proxy.count() == 0


def test_redirects_end(server: Server) -> None:
    server.answer("/round", Answer(status=307, headers={"Location": "/round"}))
    assert code_of(server.url + "/round", LOCAL) == "address_failed"
    assert len(server.seen("/round")) == urls.REDIRECTS + 1


def test_what_is_too_large_too_slow_cut_or_missing_gives_no_picture(server: Server) -> None:
    server.answer("/large", Answer(bytes(2_000_001)))
    server.answer("/cut", Answer(JPEG, cut_after=1000))
    server.answer("/stall", Answer(JPEG, stall_after=1000))
    server.answer("/late", Answer(JPEG, pause=3))
    assert code_of(server.url + "/large", LOCAL) == "too_many_bytes"
    assert code_of(server.url + "/cut", LOCAL) == "address_failed"
    brief = urls.FetchLimits(2_000_000, 0.5, allow_local=True)
    assert code_of(server.url + "/stall", brief) == "address_failed"
    assert code_of(server.url + "/late", brief) == "address_failed"
    assert code_of(server.url + "/none", LOCAL) == "address_failed"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert code_of(f"http://127.0.0.1:{port}/", LOCAL) == "address_failed"


@pytest.mark.parametrize(
    ("scheme", "head"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("http", b"HTTP/1.1 200 O"),
        ("https", b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03"),
    ],
    ids=["body", "status line", "handshake"],
)
def test_a_drip_of_bytes_ends_with_the_time(scheme: str, head: bytes) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:

        def drip() -> None:
            sock, _ = dripping.accept()
            with sock, contextlib.suppress(OSError):
                sock.recv(65536)
                sock.sendall(head)
                while not over.wait(0.1):
                    sock.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        brief = urls.FetchLimits(2_000_000, 0.8, allow_local=True)
        start = time.monotonic()
        assert code_of(f"{scheme}://127.0.0.1:{dripping.getsockname()[1]}/", brief) == "address_failed"
        assert time.monotonic() - start < 5
        over.set()
        thread.join()


def test_https_is_spoken_under_the_name_and_certificates_are_checked(server: Server) -> None:
    server.answer("/x.jpg", Answer(JPEG))
    address = server.url.replace("http:", "https:")  # a plain server cannot shake hands
    assert code_of(address + "/x.jpg", LOCAL) == "address_failed"
    assert server.seen("/x.jpg") == []
    context = urls.secure()
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_the_service_parses_what_is_behind_an_address_where_it_may(server: Server) -> None:
    server.answer("/x.jpg", Answer(JPEG))
    server.answer("/page", Answer(b"<html></html>"))
    parser = Parser(device="cpu")
    with serving(ServeSettings(allow_urls=True, allow_local=True), {"lite-atr": parser}) as service:
        answer = ask(service, server.url + "/x.jpg")
        assert answer.content == service.post(JPEG, "image/jpeg", format="png").content
        assert ask(service, server.url + "/page").status_code == 415
        assert ask(service, server.url + "/none").status_code == 422
    before = server.count()
    with serving(ServeSettings(allow_urls=True), {"lite-atr": parser}) as service:
        assert ask(service, server.url + "/x.jpg").status_code == 403
    with serving(ServeSettings(), {"lite-atr": parser}) as service:
        assert ask(service, server.url + "/x.jpg").status_code == 403
    assert server.count() == before


def ask(service: Served, url: str) -> Any:
    return service.client.post("/v1/parse", json={"url": url}, params={"format": "png"})
