"""`hub.fetch` against a real server that cuts, stalls and lies; nothing bad may ever get the final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from http_server import COMMIT, Answer, Server, wait_until

from humanparse import hub, registry
from humanparse.errors import WeightsError
from humanparse.fetching import AddressError
from humanparse.hub import download, gdrive, trust
from humanparse.registry import ModelSpec, Source, WeightFile

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
ROOT = Path(hub.__file__).parents[1]

# A process of its own, with a model whose sources are the given addresses (`hub`: a Hugging Face repository).
CHILD = """
import sys
from dataclasses import replace
from humanparse import hub, registry
from humanparse.hub import download
from humanparse.registry import Source, WeightFile
download.PAUSE, download.TIMEOUT = 0.01, 20.0
size, sha256, *urls = sys.argv[1:]
hub_file = Source("hf", "hub", repo="someone/parsing", path="w.pth")
sources = tuple(hub_file if url == "hub" else Source("url", url) for url in urls)
spec = replace(registry.get("schp-lip"), file=WeightFile("w.pth", sources, int(size), sha256))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    for name in ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # as it was when it was imported
    monkeypatch.setattr(gdrive, "ENDPOINT", server.url + "/download")
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    return tmp_path / "home"


def spec_of(*sources: str | Source, size: int | None = len(BODY), sha256: str | None = SHA256) -> ModelSpec:
    listed = tuple(Source("url", source) if isinstance(source, str) else source for source in sources)
    return replace(registry.get("schp-lip"), file=WeightFile("w.pth", listed, size, sha256))


def hugging_face(server: Server, repo: str = "someone/parsing", revision: str | None = None) -> Source:
    return Source("hf", f"{server.url}/{repo}", repo=repo, revision=revision, path="w.pth")


def drive() -> Source:
    return Source("gdrive", "https://drive.google.com/open?id=FILE", file_id="FILE")


def failure(spec: ModelSpec, **options: bool) -> str:
    """The message of the error that fetching must end with; nothing may have got the final name."""
    with pytest.raises(WeightsError) as caught:
        hub.fetch(spec, **options)
    assert not hub.place(spec).exists()
    assert str(hub.place(spec)) in str(caught.value)
    assert "weights=PATH" in str(caught.value)
    return str(caught.value)


def assert_good(spec: ModelSpec) -> None:
    assert hub.fetch(spec) == hub.place(spec)
    assert hub.place(spec).read_bytes() == BODY
    left = {path.name for path in hub.place(spec).parent.iterdir()} - {
        "w.pth",
        "w.pth.lock",
        "w.pth.rejected",
    }
    assert not left, "only the file and its lock stay behind"


def run(code: str, server_urls: list[str], **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD + code, str(len(BODY)), SHA256, *server_urls]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, **options)  # type: ignore[call-overload,no-any-return]


# --- plain HTTPS


def test_a_file_is_downloaded_once_and_found_from_then_on(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)))
    assert not hub.cached(spec)
    assert_good(spec)
    assert_good(spec)
    assert hub.cached(spec)
    (request,) = server.seen("/w.pth")
    assert request.headers["User-Agent"].startswith("humanparse/")
    assert "Range" not in request.headers


def test_cut_download_resumes_where_it_stopped(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, cut_after=100_000), Answer(BODY)))
    assert_good(spec)
    _, second = server.seen("/w.pth")
    assert second.headers["Range"] == "bytes=100000-"
    assert second.headers["If-Range"] == f'"{hashlib.md5(BODY).hexdigest()}"'


def test_stalled_download_times_out_and_resumes_where_it_stopped(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, stall_after=100_000), Answer(BODY)))
    assert_good(spec)
    assert [seen.headers.get("Range") for seen in server.seen("/w.pth")] == [None, "bytes=100000-"]


def test_a_server_that_stalls_for_ever_is_given_up_after_a_bounded_number_of_tries(server: Server) -> None:
    first, again = Answer(BODY, stall_after=100_000), Answer(BODY, stall_after=0)
    spec = spec_of(server.answer("/w.pth", first, again))
    assert "silent for 0.3 s" in failure(spec)
    assert len(server.seen("/w.pth")) == 1 + download.FRUITLESS


def test_a_server_that_cuts_every_answer_is_used_as_long_as_it_brings_something(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, cut_after=40_000)))
    assert_good(spec)
    assert len(server.seen("/w.pth")) == 8


def test_what_a_killed_process_left_is_continued(server: Server) -> None:
    url = server.answer("/w.pth", Answer(BODY, stall_after=200_000), Answer(BODY))
    spec = spec_of(url)
    part = hub.place(spec).with_name("w.pth.part")
    child = run("hub.fetch(spec)", [url])
    try:
        wait_until(lambda: part.exists() and part.stat().st_size == 200_000)
    finally:
        child.kill()
        child.wait()
    assert not hub.place(spec).exists()
    assert_good(spec)
    assert server.seen("/w.pth")[1].headers["Range"] == "bytes=200000-"


def test_a_server_that_ignores_range_starts_the_file_anew(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, cut_after=100_000), Answer(BODY, ranges=False)))
    assert_good(spec)
    assert "Range" in server.seen("/w.pth")[1].headers


def test_a_file_that_changed_meanwhile_is_not_appended_to_the_old_beginning(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(OTHER, cut_after=100_000), Answer(BODY)))
    assert_good(spec)


def test_without_a_validator_a_cut_download_starts_anew(server: Server) -> None:
    answers = Answer(BODY, cut_after=100_000, etag=None), Answer(BODY, etag=None)
    assert_good(spec_of(server.answer("/w.pth", *answers)))
    assert "Range" not in server.seen("/w.pth")[1].headers


def test_a_damaged_beginning_is_thrown_away_and_the_file_fetched_whole(server: Server) -> None:
    same = f'"{hashlib.md5(BODY).hexdigest()}"'
    spec = spec_of(server.answer("/w.pth", Answer(OTHER, cut_after=100_000, etag=same), Answer(BODY)))
    assert_good(spec)
    assert [seen.headers.get("Range") for seen in server.seen("/w.pth")] == [None, "bytes=100000-", None]


def test_a_server_that_continues_elsewhere_is_not_believed(server: Server) -> None:
    elsewhere = Answer(BODY[150_000:], status=206, headers={"Content-Range": "bytes 150000-299999/300000"})
    url = server.answer("/w.pth", Answer(BODY, cut_after=100_000), elsewhere, Answer(BODY))
    with pytest.warns(UserWarning, match=SHA256):  # no hash is known that could tell
        hub.fetch(spec_of(url, size=None, sha256=None))
    assert [seen.headers.get("Range") for seen in server.seen("/w.pth")] == [None, "bytes=100000-", None]


def test_what_one_source_began_is_not_continued_from_another(server: Server) -> None:
    begun, dead = Answer(BODY, cut_after=100_000, etag='"v1"'), Answer(status=404)
    spec = spec_of(server.answer("/a", begun, dead), server.answer("/b", Answer(BODY, etag='"v1"')))
    assert_good(spec)
    assert "Range" in server.seen("/a")[1].headers
    assert "Range" not in server.seen("/b")[0].headers


def test_a_refused_range_starts_the_file_anew(server: Server) -> None:
    refused = Answer(status=416, headers={"Content-Range": "bytes */77"})
    spec = spec_of(server.answer("/w.pth", Answer(BODY, cut_after=100_000), refused, Answer(BODY)))
    assert_good(spec)
    assert [seen.headers.get("Range") for seen in server.seen("/w.pth")] == [None, "bytes=100000-", None]


def test_a_refused_range_at_the_very_end_means_the_file_is_whole(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, length=len(BODY) + 9), Answer(BODY)), size=None)
    assert_good(spec)
    assert len(server.seen("/w.pth")) == 2


def test_a_busy_server_is_asked_again(server: Server) -> None:
    assert_good(spec_of(server.answer("/w.pth", Answer(status=500), Answer(status=429), Answer(BODY))))


def test_redirects_are_followed(server: Server) -> None:
    server.answer("/real", Answer(BODY, cut_after=100_000), Answer(BODY))
    spec = spec_of(
        server.answer("/w.pth", Answer(status=302, headers={"Location": "/real?signature=s3cret"}))
    )
    assert_good(spec)
    assert server.seen("/real")[1].headers["Range"] == "bytes=100000-"


def test_a_redirect_from_https_to_http_is_refused() -> None:
    target = download.new_client().target
    assert target("https://example.org/w.pth", "//example.com/w.pth") == "https://example.com/w.pth"
    for bad in ("http://example.com/w.pth?token=s3cret", "file:///etc/hostname", "ftp://example.com/w.pth"):
        with pytest.raises(AddressError, match="unprotected") as caught:
            target("https://example.org/w.pth", bad)
        assert "s3cret" not in str(caught.value)


def test_credentials_are_neither_sent_to_plain_servers_nor_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    server.answer("/real", Answer(status=403))
    url = server.answer("/w.pth", Answer(status=302, headers={"Location": "/real?signature=s3cret"}))
    assert "s3cret" not in failure(spec_of(url, hugging_face(server)))
    assert all("Authorization" not in seen.headers for seen in server.seen("/w.pth") + server.seen("/real"))
    told = download.redact("at http://me:pass@proxy:3128 for 'https://host/a?Signature=abc'")
    assert told == "at http://…@proxy:3128 for 'https://host/a'"


# --- wrong files


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Answer(OTHER), "sha256 is"),
        (Answer(BODY[:-1]), "offers 299999 bytes, expected 300000"),
        (Answer(BODY, length=len(BODY) - 5), "offers 299995 bytes, expected 300000"),
        (Answer(PAGE, kind="text/html; charset=utf-8"), "web page"),
        (Answer(PAGE, length=len(BODY)), "web page"),
        (Answer(status=404), "HTTP 404"),
        (Answer(status=500), "HTTP 500"),
        (Answer(BODY, cut_after=0), "ended after 0 of 300000 bytes"),
        (Answer(status=302, headers={"Location": "/w.pth"}), "HTTP 302"),
    ],
    ids=["corrupt", "short", "lying length", "page", "page in disguise", "404", "500", "empty", "loop"],
)
def test_a_bad_source_is_named_and_the_next_one_used(server: Server, bad: Answer, reason: str) -> None:
    url = server.answer("/w.pth", bad)
    message = failure(spec_of(url))
    assert f"{url}: " in message
    assert reason in message
    assert reason != "web page" or len(server.seen("/w.pth")) == 1
    assert_good(spec_of(url, server.answer("/good.pth", Answer(BODY))))


def test_the_last_error_names_each_source_the_place_and_the_expected_file(server: Server) -> None:
    folder = Source("manual", "https://example.org/folder", note="the file is inside a zip")
    bundled = Source("bundled", "weights/not-there.safetensors")
    gone, corrupt = server.answer("/gone", Answer(status=404)), server.answer("/bad", Answer(OTHER))
    spec = spec_of(bundled, gone, corrupt, hugging_face(server), drive(), folder, "http://127.0.0.1:9/w.pth")
    lines = failure(spec).splitlines()
    for source in spec.file.sources:
        (line,) = (line for line in lines if line.startswith(f"  {source.url}: "))
        assert len(line) < 400
    assert "7 sources" in lines[0]
    assert f"Expected: {len(BODY)} bytes, sha256 {SHA256}" in lines
    assert any("refused" in line for line in lines), "a closed port is named as such"


def test_a_model_without_sources_asks_for_the_users_own_file() -> None:
    assert "use a checkpoint of your own" in failure(spec_of(size=None, sha256=None))


def test_ctrl_c_stops_the_download_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    url = server.answer("/w.pth", Answer(status=500))
    monkeypatch.setattr(download.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        hub.fetch(spec_of(url, url))
    assert len(server.seen("/w.pth")) == 1


# --- Google Drive


def test_a_drive_file_comes_without_questions_where_drive_asks_none(server: Server) -> None:
    server.answer("/download", Answer(BODY, cut_after=100_000), Answer(BODY))
    assert_good(spec_of(drive()))
    first, second = server.seen("/download")
    assert first.query == {"id": "FILE", "export": "download", "confirm": "t"}
    assert second.headers["Range"] == "bytes=100000-"


def test_drives_confirm_form_is_sent_back_with_its_hidden_fields(server: Server) -> None:
    form = b"""<!DOCTYPE html><html>
    <form id="search" action="/search"><input type="hidden" name="q" value="no"></form>
    <form id="download-form" action="/confirmed" method="get"><input type="submit" value="Download anyway"/>
    <input type="hidden" name="id" value="FILE"><input type="hidden" name="export" value="download">
    <input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="1-2"></form></html>
    """
    cookie = {"Set-Cookie": "download_warning=yes"}
    server.answer("/download", Answer(form, kind="text/html; charset=utf-8", headers=cookie))
    server.answer("/confirmed", Answer(BODY, cut_after=100_000), Answer(BODY))
    assert_good(spec_of(drive()))
    first, second = server.seen("/confirmed")
    assert first.query == {"id": "FILE", "export": "download", "confirm": "t", "uuid": "1-2"}
    assert first.headers["Cookie"] == "download_warning=yes"
    assert second.headers["Range"] == "bytes=100000-"


def test_drives_older_confirm_link_is_followed(server: Server) -> None:
    link = (
        b'<html><a id="uc-download-link" href="/uc?export=download&amp;confirm=AbC&amp;id=FILE">go</a></html>'
    )
    server.answer("/download", Answer(link, kind="text/html"))
    server.answer("/uc", Answer(BODY))
    assert_good(spec_of(drive()))
    assert server.seen("/uc")[0].query == {"export": "download", "confirm": "AbC", "id": "FILE"}


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<html><title>Google Drive - Quota exceeded</title></html>", "download quota"),
        (b"<html>Too many users have viewed or downloaded this file recently.</html>", "download quota"),
        (b"<html><title>You need access</title></html>", "not shared"),
        (b"<html>Something new</html>", "a web page instead of the file"),
    ],
)
def test_drives_refusals_are_told_in_plain_words(server: Server, page: bytes, reason: str) -> None:
    server.answer("/download", Answer(page, kind="text/html"))
    assert reason in failure(spec_of(drive()))


def test_a_confirm_page_that_leads_to_another_page_is_no_file(server: Server) -> None:
    link = b'<html><a href="/uc?confirm=AbC">go</a></html>'
    server.answer("/download", Answer(link, kind="text/html"))
    server.answer("/uc", Answer(b"<html>Quota exceeded</html>", kind="text/html"))
    assert "download quota" in failure(spec_of(drive()))


def test_a_confirm_page_must_not_lead_from_https_to_http() -> None:
    page = '<a href="http://example.org/uc?confirm=AbC">go</a>'
    with pytest.raises(download.SourceError, match="unprotected"):
        gdrive.confirmation(page, "https://drive.google.com/uc")


# --- Hugging Face


def test_a_hugging_face_file_comes_by_pinned_revision_and_takes_no_space_twice(
    server: Server, tmp_path: Path
) -> None:
    server.hugging_face("someone/parsing", "w.pth", BODY, revision=COMMIT)
    spec = spec_of(hugging_face(server, revision=COMMIT))
    assert_good(spec)
    (blob,) = (tmp_path / "hf").glob("models--someone--parsing/blobs/*")
    assert blob.samefile(hub.place(spec))


def test_without_hard_links_a_hugging_face_file_is_copied(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(errno.EPERM, "this disk knows no hard links")

    monkeypatch.setattr(os, "link", refuse)
    server.hugging_face("someone/parsing", "w.pth", BODY, revision=COMMIT)
    assert_good(spec_of(hugging_face(server, revision=COMMIT)))


def test_a_hugging_face_token_reaches_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    server.hugging_face("someone/parsing", "w.pth", BODY)
    assert_good(spec_of(hugging_face(server)))
    (request,) = server.seen("/someone/parsing/resolve/main/w.pth")
    assert request.headers["authorization"] == "Bearer hf_s3cret"


def test_a_wrong_hugging_face_file_is_thrown_away_and_the_next_source_used(
    server: Server, tmp_path: Path
) -> None:
    server.hugging_face("someone/parsing", "w.pth", OTHER, claimed=BODY)
    server.hugging_face("other/parsing", "w.pth", BODY)
    assert ": sha256 is" in failure(spec_of(hugging_face(server)))
    assert not list((tmp_path / "hf").glob("models--someone--parsing/blobs/*"))
    assert_good(spec_of(hugging_face(server), hugging_face(server, "other/parsing")))


@pytest.mark.parametrize("body", [OTHER, BODY[:-1]], ids=["another hash", "another size"])
def test_what_the_hub_itself_calls_another_file_is_not_downloaded(server: Server, body: bytes) -> None:
    server.hugging_face("someone/parsing", "w.pth", body)
    assert "the repository holds" in failure(spec_of(hugging_face(server)))
    assert not server.seen("/someone/parsing/resolve/main/w.pth")


def test_an_unreachable_hub_is_given_up_quickly(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "refused" in failure(spec_of(hugging_face(server)))


def test_a_damaged_file_in_the_hugging_face_cache_is_downloaded_anew(server: Server, tmp_path: Path) -> None:
    server.hugging_face("someone/parsing", "w.pth", BODY)
    spec = spec_of(hugging_face(server))
    assert_good(spec)
    hub.place(spec).unlink()
    (blob,) = (tmp_path / "hf").glob("models--someone--parsing/blobs/*")
    blob.write_bytes(OTHER)
    assert "in the Hugging Face cache" in failure(spec, offline=True)
    assert_good(spec)
    assert blob.read_bytes() == BODY


def test_another_programs_good_file_in_the_hugging_face_cache_is_left_alone(server: Server) -> None:
    from huggingface_hub import hf_hub_download

    server.hugging_face("someone/parsing", "w.pth", OTHER, revision=COMMIT)
    theirs = Path(hf_hub_download("someone/parsing", "w.pth", revision=COMMIT, endpoint=server.url))
    requests = server.count()
    told = failure(spec_of(hugging_face(server, revision=COMMIT)))
    assert "in the Hugging Face cache: sha256 is" in told
    assert theirs.read_bytes() == OTHER
    assert server.count() == requests


def test_an_old_main_in_the_hugging_face_cache_does_not_hide_the_new_one(server: Server) -> None:
    from huggingface_hub import hf_hub_download

    server.hugging_face("someone/parsing", "w.pth", OTHER, commit="b" * 40)
    theirs = Path(hf_hub_download("someone/parsing", "w.pth", endpoint=server.url))
    server.hugging_face("someone/parsing", "w.pth", BODY)
    assert_good(spec_of(hugging_face(server)))
    assert theirs.read_bytes() == OTHER


def test_a_missing_hugging_face_file_is_named_with_its_reason(server: Server) -> None:
    assert "404" in failure(spec_of(hugging_face(server)))


def test_where_no_hard_link_can_be_made_the_file_is_copied(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    server.hugging_face("someone/parsing", "w.pth", BODY)
    assert_good(spec_of(hugging_face(server)))


# --- offline


@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "HUMANPARSE_OFFLINE"])
def test_the_environment_switches_the_network_off(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert not hub.offline()
    monkeypatch.setenv(name, value)
    assert hub.offline()
    assert not hub.offline(False)
    monkeypatch.setenv(name, "0")
    assert not hub.offline()
    assert hub.offline(True)


def test_offline_makes_no_request_and_says_how_to_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hugging_face("someone/parsing", "w.pth", BODY)
    spec = spec_of(server.answer("/w.pth", Answer(BODY)), drive(), hugging_face(server))
    assert "humanparse download schp-lip" in failure(spec, offline=True)
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    assert "HUMANPARSE_OFFLINE" in failure(spec)
    assert server.count() == 0
    hub.fetch(spec, offline=False)
    requests = server.count()
    assert_good(spec)
    assert server.count() == requests


def test_offline_finds_a_file_that_is_in_the_hugging_face_cache(server: Server) -> None:
    server.hugging_face("someone/parsing", "w.pth", BODY)
    spec = spec_of("http://127.0.0.1:9/w.pth", hugging_face(server))
    assert_good(spec)
    hub.place(spec).unlink()
    requests = server.count()
    hub.fetch(spec, offline=True)
    assert hub.place(spec).read_bytes() == BODY
    assert server.count() == requests


# --- files that are there already


def test_a_good_file_put_there_by_hand_is_used(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)))
    hub.place(spec).parent.mkdir(parents=True)
    hub.place(spec).write_bytes(BODY)
    assert_good(spec)
    assert server.count() == 0
    assert not hub.place(spec).with_name("w.pth.lock").exists(), "a filled read-only cache must do"


def test_a_wrong_file_put_there_by_hand_is_set_aside_and_never_used(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)))
    hub.place(spec).parent.mkdir(parents=True)
    hub.place(spec).write_bytes(OTHER)
    with pytest.warns(UserWarning, match=r"renamed to w.pth.rejected: sha256 is"):
        message = failure(spec, offline=True)
    assert "renamed to w.pth.rejected" in message
    assert hub.place(spec).with_name("w.pth.rejected").read_bytes() == OTHER
    assert_good(spec)


def test_a_cached_file_damaged_on_disk_is_noticed_and_fetched_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)))
    assert_good(spec)
    before = hub.place(spec).stat()
    with hub.place(spec).open("r+b") as file:
        file.write(b"damaged")
    os.utime(hub.place(spec), ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr(trust, "_hashed", {})  # as in a new process
    with pytest.warns(UserWarning, match="sha256 is"):
        assert_good(spec)
    assert len(server.seen("/w.pth")) == 2


def test_a_file_is_hashed_once_per_process_and_again_when_it_changes(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)))
    assert_good(spec)
    assert hub.place(spec) in trust._hashed
    hub.place(spec).write_bytes(OTHER)
    os.utime(hub.place(spec), ns=(1, 1))
    with pytest.warns(UserWarning, match="sha256 is"):
        assert_good(spec)


def test_a_file_written_within_the_same_clock_tick_is_not_taken_for_its_predecessor(tmp_path: Path) -> None:
    wanted = WeightFile("w.pth", (), len(BODY), SHA256)
    part, target = tmp_path / "w.pth.part", tmp_path / "w.pth"

    def write(path: Path, body: bytes) -> None:
        path.write_bytes(body)
        os.utime(path, ns=(1, 1))

    write(part, BODY)
    assert trust.fault(part, wanted) is None
    write(part, OTHER)
    assert trust.fault(part, wanted, fresh=True) is not None
    trust._hashed.pop(part)
    write(target, BODY)
    assert trust.fault(target, wanted) is None
    trust.rename(part, target)
    assert trust.fault(target, wanted) is not None


def test_a_bundled_file_is_checked_and_used_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(hub, "_PACKAGE", tmp_path / "package")
    spec = spec_of(Source("bundled", "weights/w.safetensors"))
    assert not hub.cached(spec)
    bundled = tmp_path / "package" / "weights" / "w.safetensors"
    bundled.parent.mkdir(parents=True)
    bundled.write_bytes(BODY)
    assert hub.fetch(spec, offline=True) == bundled
    assert hub.cached(spec)
    assert not home.exists(), "nothing is copied"
    bundled.write_bytes(OTHER)
    os.utime(bundled, ns=(1, 1))
    assert "install humanparse again" in failure(spec)


# --- trust on first use


def test_without_a_published_hash_the_first_file_is_trusted_recorded_and_said(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)), size=None, sha256=None)
    with pytest.warns(UserWarning, match=f"trusted on first use: {SHA256}"):
        path = hub.fetch(spec)
    record = json.loads(trust.record_path(path).read_text())
    assert record["sha256"] == SHA256
    assert record["size"] == len(BODY)
    assert record["url"] == f"{server.url}/w.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hub.fetch(spec) == path


def test_the_record_of_a_first_use_holds_no_token(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)) + "?token=s3cret", size=None, sha256=None)
    with pytest.warns(UserWarning, match=r"w\.pth\?token=…"):
        path = hub.fetch(spec)
    assert "s3cret" not in trust.record_path(path).read_text()


def test_a_file_that_changed_after_its_first_use_is_refused(server: Server) -> None:
    url = server.answer("/w.pth", Answer(BODY), Answer(OTHER))
    spec = spec_of(url, size=None, sha256=None)
    with pytest.warns(UserWarning, match="trusted on first use"):
        path = hub.fetch(spec)
    path.write_bytes(OTHER)
    os.utime(path, ns=(1, 1))
    with pytest.warns(UserWarning, match="is not the expected file"):
        message = failure(spec)
    assert f"{url}: sha256 is" in message
    assert f"delete {trust.record_path(path)}" in message


def test_a_hand_placed_file_without_a_published_hash_is_trusted_and_recorded() -> None:
    spec = spec_of(size=None, sha256=None)
    hub.place(spec).parent.mkdir(parents=True)
    hub.place(spec).write_bytes(BODY)
    with pytest.warns(UserWarning, match="trusted on first use"):
        hub.fetch(spec)
    assert trust.record_path(hub.place(spec)).exists()


@pytest.mark.parametrize("body", [PAGE, b"  <html>", b""], ids=["page", "page after blanks", "empty"])
def test_a_page_or_an_empty_file_is_not_trusted_on_first_use(server: Server, body: bytes) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(body)), size=None, sha256=None)
    failure(spec)
    hub.place(spec).write_bytes(body)
    with pytest.warns(UserWarning, match="web page" if body else "empty"):
        failure(spec)


def test_a_damaged_record_of_trust_is_an_error_not_a_new_trust(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY)), size=None, sha256=None)
    with pytest.warns(UserWarning, match="trusted on first use"):
        path = hub.fetch(spec)
    trust.record_path(path).write_text("{")
    with pytest.raises(WeightsError, match="delete this record"):
        hub.fetch(spec)


# --- several at once


def test_two_processes_download_a_file_once(server: Server) -> None:
    url = server.answer("/w.pth", Answer(BODY, pause=1.0))
    spec = spec_of(url)
    children = [run("print(hub.fetch(spec))", [url], stdout=subprocess.PIPE) for _ in range(2)]
    said = [child.communicate(timeout=20)[0].decode().strip() for child in children]
    assert said == [str(hub.place(spec))] * 2
    assert len(server.seen("/w.pth")) == 1
    assert_good(spec)


def test_two_threads_download_a_file_once(server: Server) -> None:
    spec = spec_of(server.answer("/w.pth", Answer(BODY, pause=0.1)))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(hub.fetch(spec))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [hub.place(spec)] * 4
    assert len(server.seen("/w.pth")) == 1


# --- the disk and the terminal


def test_a_cache_that_cannot_be_written_is_told_with_the_systems_reason(server: Server, home: Path) -> None:
    home.write_text("a file where the folder should be", encoding="utf-8")
    message = failure(spec_of(server.answer("/w.pth", Answer(BODY))))
    assert "HUMANPARSE_HOME" in message
    assert str(home) in message


@pytest.mark.posix
def test_a_full_disk_is_told_with_the_systems_reason_and_no_source_is_blamed(server: Server) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); hub.fetch(spec)"
    url = server.answer("/w.pth", Answer(BODY))
    child = run(limited, [url, url], stderr=subprocess.PIPE)
    told = child.communicate(timeout=20)[1].decode()
    assert "WeightsError" in told
    assert "File too large" in told
    assert "HUMANPARSE_HOME" in told
    assert not hub.place(spec_of(url)).exists()
    assert len(server.seen("/w.pth")) == 1


def test_progress_is_silent_in_a_pipe_and_can_be_asked_for(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.hugging_face("someone/parsing", "w.pth", BODY)
    web = spec_of(server.answer("/w.pth", Answer(BODY)))
    hub.fetch(web)
    hub.place(web).unlink()
    hub.fetch(spec_of(hugging_face(server)))
    assert capfd.readouterr() == ("", "")
    hub.place(web).unlink()
    hub.fetch(web, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "w.pth" in err


@pytest.mark.posix
@pytest.mark.parametrize(("option", "drawn"), [("None", True), ("False", False)])
@pytest.mark.parametrize("kind", ["web", "hub"])
def test_progress_is_drawn_on_a_terminal_unless_switched_off(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, option: str, drawn: bool
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    server.hugging_face("someone/parsing", "w.pth", BODY)
    url = server.answer("/w.pth", Answer(BODY)) if kind == "web" else kind
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    child = run(f"hub.fetch(spec, progress={option}); sys.stderr.write('end')", [url], stderr=theirs)
    child.wait(20)
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert b"end" in shown
    assert (b"w.pth" in shown) == drawn


def test_the_cache_folder_follows_the_environment_at_call_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "here"))
    assert hub.cache_dir() == tmp_path / "here"
    monkeypatch.delenv("HUMANPARSE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub.cache_dir() == tmp_path / "xdg" / "humanparse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub.cache_dir() == tmp_path / ".cache" / "humanparse"


def test_importing_the_hub_imports_nothing_heavy_and_touches_no_disk(home: Path) -> None:
    heavy = "assert not {'torch', 'cv2', 'huggingface_hub', 'rich', 'filelock'} & set(sys.modules)"
    assert run(heavy, []).wait(20) == 0
    assert not home.exists()
