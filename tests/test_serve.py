"""The HTTP service behind a real server: answers, refusals, limits, batches, its end."""

from __future__ import annotations

import base64
import io
import json
import quopri
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from command import runner
from golden import SMALL
from PIL import Image
from serving import Gate, Served, pieces, png, reply, serving, until
from test_group import MASK_RCNN, detecting

from humanparse import ModelError, Parser, ParserOptions, Parsing, ServeError, formats, image
from humanparse.formats import decode_rle
from humanparse.serve import ServeSettings, docs, protocol, schema
from humanparse.serve.batcher import Batcher
from humanparse.serve.refusals import REFUSALS

HOPPER_FILE = SMALL / "images" / "grace_hopper.jpg"
HOPPER = image.load(HOPPER_FILE)
JPEG = HOPPER_FILE.read_bytes()


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


@pytest.fixture(scope="module")
def served(parser: Parser) -> Iterator[Served]:
    settings = ServeSettings(max_bytes=2_000_000, max_pixels=1_000_000, upload_seconds=1.5)
    with serving(settings, {"lite-atr": parser}) as running:
        yield running


@pytest.fixture(scope="module")
def expected(parser: Parser) -> Parsing:
    return parser.predict(HOPPER)


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of a refusal, once it is the right one."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert REFUSALS[code][0] == status
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["error"]["message"])


def labels_of(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    labels = np.zeros(answer["size"], np.uint8)
    for part in answer["parts"]:
        labels[decode_rle(part["rle"])] = part["label"]
    return labels


# Answers


def assert_described(answer: dict[str, Any]) -> None:
    """The OpenAPI document describes all that is in the answer."""
    assert schema.Parsing(**answer).model_dump(exclude_unset=True) == answer


def test_json_holds_the_labels_of_predict_with_names_boxes_and_colours(
    served: Served, expected: Parsing
) -> None:
    answer = served.post(JPEG, "image/jpeg")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-humanparse-model"] == "lite-atr"
    assert float(answer.headers["x-humanparse-milliseconds"]) > 0
    found = answer.json()
    assert_described(found)
    assert np.array_equal(labels_of(found), expected.labels)
    assert (found["model"], found["scheme"], found["people"]) == ("lite-atr", "atr", [])
    assert found["milliseconds"] > 0
    palette = expected.scheme.palette("display")
    assert [(one["label"], one["name"], tuple(one["color"])) for one in found["classes"]] == [
        (label, name, palette[label]) for label, name in enumerate(expected.scheme.names)
    ]
    assert {name: tuple(labels) for name, labels in found["groups"].items()} == dict(expected.scheme.groups)
    for part, own in zip(found["parts"], expected.parts(), strict=True):
        assert (part["label"], part["name"], part["pixels"]) == (own.label, own.name, own.pixels)
        assert part["share"] == own.share and tuple(part["box"]) == own.box


@pytest.mark.parametrize("one", formats.FORMATS.values(), ids=list(formats.FORMATS))
def test_an_answer_is_what_a_file_of_its_format_holds(
    one: formats.Format, served: Served, expected: Parsing, tmp_path: Path
) -> None:
    answer = served.post(JPEG, "image/jpeg", format=one.kind)
    if not one.of_any_photo:
        assert "format takes png, npz, json, overlay" in refused(answer, 422, "invalid_parameter")
        return
    assert (answer.status_code, answer.headers["content-type"]) == (200, one.media_type)
    if one.kind != "json":
        photo = formats.Photo(pixels=HOPPER)
        assert answer.content == one.encode(expected, photo)
        return
    assert {
        **json.loads(expected.encode("json")),
        "milliseconds": answer.json()["milliseconds"],
    } == answer.json()
    (tmp_path / "answer.json").write_bytes(answer.content)
    assert Parsing.load(tmp_path / "answer.json") == expected


def test_labels_are_cleaned_in_the_words_of_the_library(
    served: Served, expected: Parsing, tmp_path: Path
) -> None:
    words = {"min_area": "0.2%", "fill": "300", "smooth": "2"}
    clean = expected.cleaned("0.2%", 300, 2)
    assert (clean.labels != expected.labels).any()
    answer = served.post(JPEG, "image/jpeg", format="png", **words)
    assert answer.content == clean.save(tmp_path / "clean.png").read_bytes()
    coarse = served.post(JPEG, "image/jpeg", scheme="coarse", **words)
    assert np.array_equal(labels_of(coarse.json()), clean.remap("coarse").labels)
    assert_described(coarse.json())
    for word, value in (("min_area", "lots"), ("fill", "-1"), ("smooth", "101"), ("smooth", "much")):
        said = refused(served.post(JPEG, "image/jpeg", **{word: value}), 422, "invalid_parameter")
        assert word in said


def test_the_overlay_is_that_of_the_parsing(served: Served, expected: Parsing) -> None:
    answer = served.post(JPEG, "image/jpeg", format="overlay")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert np.array_equal(np.array(picture), np.array(expected.overlay(HOPPER)))


def test_every_way_to_send_a_picture_gives_the_same_answer(served: Served) -> None:
    text = base64.b64encode(JPEG).decode()
    ways: list[dict[str, Any]] = [
        {"content": JPEG, "headers": {"Content-Type": "image/jpeg"}},
        {"content": JPEG, "headers": {"Content-Type": "application/octet-stream"}},
        {"content": JPEG},
        {"content": iter([JPEG[:1000], JPEG[1000:]]), "headers": {"Content-Type": "image/*"}},
        {"files": {"image": ("me.jpg", JPEG, "image/jpeg")}},
        {"files": {"image": ("", JPEG)}},
        {"files": {"image_base64": (None, text)}},
        {"json": {"image_base64": text}},
        {"json": {"image_base64": "data:image/jpeg;base64," + text, "url": None}},
        {"json": {"image_base64": "\n".join(text[at : at + 76] for at in range(0, len(text), 76))}},
    ]
    answers = [served.client.post("/v1/parse", params={"format": "png"}, **way) for way in ways]
    assert [answer.status_code for answer in answers] == [200] * len(ways)
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"base64", base64.encodebytes(JPEG)),
        (b"BASE64", base64.b64encode(JPEG)),
        (b"quoted-printable", quopri.encodestring(JPEG)),
        (b"binary", JPEG),
    ],
)
def test_a_form_may_transfer_its_picture_as_text(
    served: Served, expected: Parsing, tmp_path: Path, encoding: bytes, body: bytes
) -> None:
    answer = served.post(form(b"image", body, encoding), "multipart/form-data; boundary=b", format="png")
    assert answer.content == expected.save(tmp_path / "x.png").read_bytes()


def form(name: bytes, body: bytes, encoding: bytes) -> bytes:
    """A form of one field, whose part says how it is transferred."""
    head = b'Content-Disposition: form-data; name="%s"; filename="a.jpg"\r\n' % name
    return b"--b\r\n%sContent-Transfer-Encoding: %s\r\n\r\n%s\r\n--b--\r\n" % (head, encoding, body)


def test_other_transfer_encodings_and_false_ones_are_refused_by_name(served: Served) -> None:
    kind = "multipart/form-data; boundary=b"
    for encoding, body in ((b"x-uuencode", b"begin"), (b"base64", b"@@@@")):
        said = refused(served.post(form(b"image", body, encoding), kind), 400, "malformed_request")
        assert "image" in said and encoding.decode() in said


@pytest.mark.parametrize("name", ["format", "model", "scheme", "people"])
def test_parameters_in_the_body_are_refused_by_name(served: Served, name: str) -> None:
    for way in (
        {"files": {"image": JPEG}, "data": {name: "png"}},
        {"json": {"image_base64": base64.b64encode(JPEG).decode(), name: "png"}},
    ):
        said = refused(served.client.post("/v1/parse", **way), 400, "malformed_request")  # type: ignore[arg-type]
        assert said.startswith(f"{name} belongs in the URL") and f"/v1/parse?{name}=" in said


@pytest.mark.parametrize("page", ["/", "/healthz", "/readyz", "/v1/models", "/metrics", "/docs"])
def test_head_answers_as_get_without_a_body(served: Served, page: str) -> None:
    get, head = served.client.get(page), served.client.head(page)
    assert (head.status_code, head.content) == (200, b"")
    changing = {"date", "content-length"} if page == "/metrics" else {"date"}
    told = [{k: v for k, v in answer.headers.items() if k not in changing} for answer in (get, head)]
    assert told[0] == told[1] and int(head.headers["content-length"]) > 0


def test_head_is_told_what_get_is_told_of_mistakes(served: Served) -> None:
    assert served.client.head("/v1/parse").status_code == 405
    assert served.client.head("/nowhere").status_code == 404
    with served.connect() as sock:
        sock.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


def test_another_scheme_is_the_exact_remap(served: Served, expected: Parsing, tmp_path: Path) -> None:
    answer = served.post(JPEG, "image/jpeg", scheme="COARSE", format="png")
    assert answer.content == expected.remap("coarse").save(tmp_path / "x.png").read_bytes()
    said = refused(served.post(JPEG, "image/jpeg", scheme="pascal"), 422, "invalid_parameter")
    assert "atr, coarse" in said  # ATR leads to Pascal too, but not exactly


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("image/png", "image/png"),
        ("image/webp, image/*;q=0.8", "image/png"),
        ("text/html, application/octet-stream;q=0.5, application/json;q=0.4", "application/octet-stream"),
        ("image/png;q=0, */*;q=0.1", "application/json"),
        ("*/*, image/png", "image/png"),
    ],
)
def test_the_accept_header_chooses_the_format(served: Served, accept: str, media: str) -> None:
    small = png(HOPPER[:64, :64].copy())
    answer = served.client.post("/v1/parse", content=small, headers={"Accept": accept})
    assert answer.headers["content-type"] == media
    told = served.client.post("/v1/parse?format=json", content=small, headers={"Accept": accept})
    assert told.headers["content-type"] == "application/json"


def test_what_cannot_be_given_is_not_acceptable(served: Served) -> None:
    for accept in ("text/html", "image/webp", "application/json;q=0", "application/json;q=much"):
        answer = served.client.post("/v1/parse", content=JPEG, headers={"Accept": accept})
        refused(answer, 406, "not_acceptable")


def test_people_are_told_apart_where_a_detector_is_there(served: Served) -> None:
    found = detecting(
        Parser(device="cpu", detector=MASK_RCNN),
        boxes=torch.tensor([[100.0, 100, 400, 500]]),
        scores=torch.tensor([0.6]),
        labels=torch.tensor([1]),
    )
    alone = found.predict(HOPPER, people="detect")
    asked = (ParserOptions(detector=MASK_RCNN),)
    with serving(ServeSettings(asked, people=True), {"lite-atr": found}) as service:
        assert service.client.get("/v1/models").json()["models"][0]["people"] is True
        answer = service.post(JPEG, "image/jpeg", people="detect").json()
        assert_described(answer)
        assert service.post(JPEG, "image/jpeg", people="none").json()["people"] == []
    (person,), (own,) = answer["people"], alone.people
    assert (person["id"], person["score"], tuple(person["box"])) == (own.id, own.score, own.box)
    assert np.array_equal(decode_rle(person["rle"]), own.mask) and person["part_scores"] == own.part_scores
    assert [part["name"] for part in person["parts"]] == [part.name for part in own.parts()]
    for part in person["parts"]:
        assert np.array_equal(decode_rle(part["rle"]), own.part(part["label"]))
    with serving(ServeSettings(asked, people=False), {"lite-atr": found}) as service:
        said = refused(service.post(JPEG, "image/jpeg", people="detect"), 422, "invalid_parameter")
        assert "--people" in said


def test_models_lists_what_is_served_and_where_each_leads(served: Served) -> None:
    listed = served.client.get("/v1/models").json()
    assert listed["default"] == "lite-atr" and listed["schemes"] == ["atr", "coarse"]
    (model,) = listed["models"]
    assert (model["name"], model["scheme"], model["classes"]) == ("lite-atr", "atr", 18)
    assert model["loaded"] is True and model["licence"] == "Apache-2.0"
    assert model["schemes"] == ["atr", "coarse"]
    refused(served.post(JPEG, "image/jpeg", model="schp-lip"), 404, "unknown_model")


# Many at once


def test_pictures_of_many_sizes_sent_at_once_get_exactly_their_own_labels(
    served: Served, parser: Parser
) -> None:
    photos = pieces(HOPPER, 24)
    own = [parser.predict(photo).labels for photo in photos]
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda photo: served.post(png(photo)).json(), photos))
    for answer, labels in zip(answers, own, strict=True):
        assert np.array_equal(labels_of(answer), labels)


def test_photos_that_come_together_go_through_the_network_together(parser: Parser) -> None:
    groups: list[int] = []
    batcher = Batcher(parser, 4, 0.5, lambda photos, seconds: groups.append(photos))
    photos = pieces(HOPPER, 8)
    with Gate(parser) as gate:
        waiting = [batcher.submit(photo, False) for photo in photos]
        assert gate.reached.wait(20)
        gate.opened.set()
        found = [one.result(60) for one in waiting]
    batcher.close()
    assert groups == [4, 4]
    for photo, parsing in zip(photos, found, strict=True):
        assert (parsing.labels == parser.predict(photo).labels).mean() > 0.9999
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(photos[0], False)


def test_one_photos_failure_is_not_that_of_its_neighbours(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = parser.pipeline
    network, bad = pipeline.network, np.zeros((90, 90, 3), np.uint8)

    def fragile(batch: torch.Tensor) -> Any:
        if any(float(one.max()) <= 0 for one in batch):
            raise RuntimeError("out of memory")
        return network(batch)

    monkeypatch.setitem(pipeline.__dict__, "network", fragile)
    batcher = Batcher(parser, 8, 0.3, lambda photos, seconds: None)
    photos = [HOPPER[:200, :200].copy(), bad, HOPPER[200:400, :200].copy()]
    waiting = [batcher.submit(photo, False) for photo in photos]
    assert waiting[0].result(30) == parser.predict(photos[0])
    assert waiting[2].result(30) == parser.predict(photos[2])
    with pytest.raises(RuntimeError, match="out of memory"):
        waiting[1].result(30)
    batcher.close()


def test_a_defect_is_answered_without_its_details(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(batch: torch.Tensor) -> Any:
        raise RuntimeError("secret path")

    with serving(ServeSettings(), {"lite-atr": parser}) as service:
        with monkeypatch.context() as patch:
            patch.setitem(parser.pipeline.__dict__, "network", broken)
            said = refused(service.post(JPEG, "image/jpeg"), 500, "internal_error")
            assert "secret" not in said
        assert service.post(JPEG, "image/jpeg").status_code == 200


# Refusals


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes and many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes((3 * width + 1) * min(height, 1000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (JPEG[:5000], "image/jpeg", 400, "malformed_image"),
        (b"", "image/jpeg", 400, "malformed_image"),
        (b"<html>hello</html>", "image/jpeg", 415, "unsupported_media_type"),
        (b"%PDF-1.4", "application/octet-stream", 415, "unsupported_media_type"),
        (JPEG, "text/plain", 415, "unsupported_media_type"),
        (JPEG, "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (bomb(30_000, 30_000), "image/png", 413, "too_many_pixels"),
        (bomb(1001, 1000), "image/png", 413, "too_many_pixels"),
        (bytes(2_000_001), "image/png", 413, "too_many_bytes"),
        (b"{", "application/json", 400, "malformed_request"),
        (b"[" * 60, "application/json", 400, "malformed_request"),
        (b"[" + b"0," * 500_000 + b"0]", "application/json", 400, "malformed_request"),
        (b"[]", "application/json", 400, "malformed_request"),
        (b"{}", "application/json", 400, "malformed_request"),
        (b'{"image": "me.jpg"}', "application/json", 400, "malformed_request"),
        (b'{"image_base64": 3}', "application/json", 400, "malformed_request"),
        (b'{"image_base64": "@@@@"}', "application/json", 400, "malformed_request"),
        (b'{"image_base64": "data:image/png,x"}', "application/json", 400, "malformed_request"),
        (b'{"image_base64": "", "url": "x"}', "application/json", 400, "malformed_request"),
        (b'{"image_base64": "aGVsbG8gaGVsbG8="}', "application/json", 415, "unsupported_media_type"),
        (b'{"url": "https://example.com/x.jpg"}', "application/json", 403, "address_refused"),
        (b"x", "multipart/form-data", 400, "malformed_request"),
        (b"x", "multipart/form-data; boundary=b", 400, "malformed_request"),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b", 400, "malformed_request"),
        (
            b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + JPEG,
            "multipart/form-data; boundary=b",
            400,
            "malformed_request",
        ),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_do(
    served: Served, content: bytes, kind: str, status: int, code: str
) -> None:
    assert refused(served.post(content, kind), status, code)


def test_forms_hold_one_picture_and_nothing_else(served: Served) -> None:
    for files in (
        [("image", JPEG), ("image", JPEG)],
        [("image", JPEG), ("image_base64", JPEG)],
        [("photo", JPEG)],
        [(f"field{number}", b"x") for number in range(9)],
    ):
        refused(served.client.post("/v1/parse", files=files), 400, "malformed_request")
    big = served.client.post("/v1/parse", files={"image": bytes(2_000_001)})
    refused(big, 413, "too_many_bytes")
    refused(served.client.post("/v1/parse", files={"image": bytes(4_000_000)}), 413, "too_many_bytes")


def test_unknown_parameters_pages_methods_and_encodings_are_refused(served: Served) -> None:
    assert "modle" in refused(served.post(JPEG, "image/jpeg", modle="x"), 422, "invalid_parameter")
    assert "format" in refused(served.post(JPEG, "image/jpeg", format="gif"), 422, "invalid_parameter")
    refused(served.post(JPEG, "image/jpeg", people="everybody"), 422, "invalid_parameter")
    refused(served.client.get("/v1/people"), 404, "not_found")
    refused(served.client.get("/page/../settings.py"), 404, "not_found")
    refused(served.client.get("/page/%2e%2e/settings.py"), 404, "not_found")
    refused(served.client.get("/v1/parse"), 405, "method_not_allowed")
    packed = {"Content-Encoding": "gzip"}
    answer = served.client.post("/v1/parse", content=JPEG, headers=packed)
    refused(answer, 415, "unsupported_media_type")


def test_too_long_a_body_is_refused_without_a_length_too(served: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100_000)

    refused(served.client.post("/v1/parse", content=endless()), 413, "too_many_bytes")
    with served.connect() as sock:  # who closes after one answer reads it although it was still sending
        sock.sendall(
            b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000000\r\n\r\n"
        )
        sock.sendall(bytes(5_000_000))
        status, body = reply(sock)
    assert status == 413 and b"too_many_bytes" in body
    with served.connect() as sock:  # who asks first is told before it sends
        sock.sendall(b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n")
        sock.sendall(b"Content-Length: 5000000\r\n\r\n")
        assert reply(sock)[0] == 413


def test_a_body_that_is_cut_off_is_refused_while_its_sender_listens(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + JPEG[:500])
        sock.shutdown(socket.SHUT_WR)
        status, body = reply(sock)
    assert status == 400 and json.loads(body)["error"]["code"] == "malformed_request"
    with served.connect() as sock:
        sock.sendall(b"no HTTP at all\r\n\r\n")
        status, body = reply(sock)
    assert status == 400 and json.loads(body)["error"]["code"] == "malformed_request"


def test_slow_senders_are_told_and_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with served.connect() as sock:
        sock.sendall(
            b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"
        )
        sock.sendall(JPEG[:10])
        start = time.monotonic()
        status, body = reply(sock)
    assert status == 408 and json.loads(body)["error"]["code"] == "slow_upload"
    assert 1 < time.monotonic() - start < 10
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with served.connect() as sock:
        sock.sendall(b"POST /v1/parse HTTP/1.1\r\nHost")
        status, body = reply(sock)
    assert status == 408 and json.loads(body)["error"]["code"] == "slow_upload"
    with served.connect() as sock:  # also between requests, where a byte would keep the connection for ever
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        sock.sendall(b"G")
        assert reply(sock)[0] == 408


def test_who_does_not_read_is_cut_off_and_who_reads_slowly_is_not(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = png(np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8))
    head = (
        "POST /v1/parse?format=overlay HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    )
    request = (head % len(noise)).encode() + noise
    monkeypatch.setattr(protocol, "READ_SECONDS", 1.0)
    with serving(ServeSettings(), {"lite-atr": parser}) as service:
        bytes_held = service.service._bytes
        for patient in (False, True):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                sock.connect(("127.0.0.1", service.port))
                sock.sendall(request)
                if not patient:
                    until(lambda: bytes_held.held > len(noise))  # the answer, too
                    until(lambda: bytes_held.held == 0)
                    continue
                received = 0
                while chunk := sock.recv(1 << 20):
                    received += len(chunk)
                    time.sleep(0.02)
                assert received > len(noise) / 2
        until(lambda: bytes_held.held == 0)


# Limits


def test_a_full_queue_says_when_to_come_back(parser: Parser) -> None:
    small = png(HOPPER[:80, :80].copy())
    with serving(ServeSettings(queue=2), {"lite-atr": parser}) as service:
        with Gate(parser) as gate, ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(service.post, small) for _ in range(2)]
            until(lambda: service.service._photos.held == 2)
            answer = service.post(small)
            assert refused(answer, 429, "busy") and 1 <= int(answer.headers["retry-after"]) <= 60
            gate.opened.set()
            assert [one.result(30).status_code for one in waiting] == [200, 200]
        assert service.post(small).status_code == 200


def test_uploads_that_would_fill_the_memory_are_sent_away(parser: Parser) -> None:
    settings = ServeSettings(max_bytes=1_000_000, buffer_bytes=4_500_000)
    junk = bytes(900_000)
    with serving(settings, {"lite-atr": parser}) as service:
        stalled = [service.connect() for _ in range(4)]
        for sock in stalled:
            sock.sendall(b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nContent-Length: 900001\r\n\r\n" + junk)
        until(lambda: service.service._bytes.held == 4 * len(junk))
        assert refused(service.post(junk + junk[:50_000]), 429, "busy")
        for sock in stalled:
            sock.close()
        until(lambda: service.service._bytes.held == 0)
        assert service.post(JPEG, "image/jpeg").status_code == 200


def test_pixels_wait_for_room_and_come_out_right(parser: Parser) -> None:
    photos = pieces(HOPPER, 12)
    most = max(photo.shape[0] * photo.shape[1] for photo in photos)
    settings = ServeSettings(max_pixels=most, buffer_pixels=most)
    with serving(settings, {"lite-atr": parser}) as service, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda photo: service.post(png(photo)).json(), photos))
        assert service.service._pixels.held == 0
    for photo, answer in zip(photos, answers, strict=True):
        assert np.array_equal(labels_of(answer), parser.predict(photo).labels)


def test_an_answer_that_takes_too_long_is_given_up(parser: Parser) -> None:
    small = png(HOPPER[:80, :80].copy())
    with serving(ServeSettings(timeout=0.5), {"lite-atr": parser}) as service:
        with Gate(parser) as gate, ThreadPoolExecutor(3) as threads:
            first = threads.submit(service.post, small)
            assert gate.reached.wait(20)
            late = [threads.submit(service.post, small) for _ in range(2)]
            for one in (first, *late):
                refused(one.result(30), 504, "timeout")
            gate.opened.set()
            assert service.post(small).status_code == 200
            assert gate.passed == 2  # the first and the last: those in between left the queue
        until(lambda: service.service._photos.held == 0 and service.service._pixels.held == 0)


def test_the_work_of_a_caller_who_left_is_dropped(parser: Parser) -> None:
    small = png(HOPPER[:80, :80].copy())
    request = b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(small) + small
    with serving(ServeSettings(), {"lite-atr": parser}) as service:
        with Gate(parser) as gate, ThreadPoolExecutor(1) as threads:
            first = threads.submit(service.post, small)
            assert gate.reached.wait(20)
            gone = [service.connect() for _ in range(5)]
            for sock in gone:
                sock.sendall(request)
            until(lambda: service.service._photos.held == 6)
            for sock in gone:
                sock.close()
            until(lambda: service.service._photos.held == 1)
            gate.opened.set()
            assert first.result(30).status_code == 200
        assert service.post(small).status_code == 200 and gate.passed == 1
        assert 'status="499"} 5.0' in service.client.get("/metrics").text


# Around it


def test_with_a_key_only_its_holders_are_answered(parser: Parser) -> None:
    with serving(ServeSettings(api_key="s3cret"), {"lite-atr": parser}) as service:
        for headers in (
            {},
            {"X-API-Key": "s3cre"},
            {"Authorization": "Bearer x"},
            {"Authorization": "s3cret"},
        ):
            answer = service.client.post("/v1/parse", content=JPEG, headers=headers)
            refused(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
            refused(service.client.get("/v1/models", headers=headers), 401, "unauthorized")
            refused(service.client.get("/metrics", headers=headers), 401, "unauthorized")
        for headers in ({"X-API-Key": "s3cret"}, {"Authorization": "bearer s3cret"}):
            assert service.client.post("/v1/parse", content=JPEG, headers=headers).status_code == 200
        assert service.client.get("/healthz").status_code == 200
    assert "s3cret" not in repr(ServeSettings(api_key="s3cret"))


def test_what_is_under_way_at_the_end_is_finished(parser: Parser) -> None:
    small = png(HOPPER[:80, :80].copy())
    with ThreadPoolExecutor(3) as threads:
        with Gate(parser) as gate, serving(ServeSettings(), {"lite-atr": parser}) as service:
            waiting = [threads.submit(service.post, small) for _ in range(3)]
            until(lambda: service.service._photos.held == 3)
            service.server.should_exit = True
            until(lambda: not _listens(service.port))
            gate.opened.set()
        assert [one.result(30).status_code for one in waiting] == [200] * 3


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_before_its_model_is_loaded_the_service_is_alive_but_not_ready(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Parser:
        assert loading.wait(30)
        return parser

    monkeypatch.setattr(Parser, "of", slow)
    with serving(ServeSettings(), {}, ready=False) as service:
        assert service.client.get("/healthz").status_code == 200
        refused(service.client.get("/readyz"), 503, "not_ready")
        answer = service.post(JPEG, "image/jpeg")
        assert "being loaded" in refused(answer, 503, "not_ready") and answer.headers["retry-after"] == "2"
        assert service.client.get("/v1/models").json()["models"][0]["loaded"] is False
        loading.set()
        until(lambda: service.client.get("/readyz").status_code == 200)
        assert service.post(JPEG, "image/jpeg").status_code == 200


def test_a_model_that_cannot_be_loaded_says_why_in_the_log_and_not_to_strangers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mine.pth"
    torch.save({"conv.weight": torch.zeros(3, 3)}, file)
    with serving(ServeSettings((ParserOptions(weights=str(file)),)), {}, ready=False) as service:
        until(lambda: "could not be loaded" in service.client.get("/readyz").text)
        assert "mine.pth" not in refused(service.post(JPEG, "image/jpeg"), 503, "not_ready")
    assert "mine.pth" in caplog.text


def test_the_counters_tell_what_was_answered(parser: Parser) -> None:
    with serving(ServeSettings(), {"lite-atr": parser}) as service:
        service.post(JPEG, "image/jpeg")
        service.post(JPEG, "image/jpeg", format="png")
        service.post(b"x")
        service.post(b"x", model="no-such-name")
        text = service.client.get("/metrics").text
    for line in (
        'humanparse_answers_total{format="json",model="lite-atr",status="200"} 1.0',
        'humanparse_answers_total{format="png",model="lite-atr",status="200"} 1.0',
        'humanparse_answers_total{format="json",model="lite-atr",status="415"} 1.0',
        'humanparse_answers_total{format="json",model="unknown",status="404"} 1.0',
        "humanparse_request_seconds_count 2.0",
        'humanparse_batch_photos_count{model="lite-atr"} 2.0',
        "humanparse_photos_waiting 0.0",
        "humanparse_held_bytes 0.0",
    ):
        assert line in text.splitlines()


def test_every_answer_keeps_browsers_to_this_service(served: Served) -> None:
    for path in ("/healthz", "/docs", "/nowhere", "/v1/parse"):
        headers = served.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self';") and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_interface_is_described_with_examples_that_work(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Parsing
) -> None:
    page = served.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html") and "<script" not in page.text
    api = served.client.get("/openapi.json").json()
    assert set(api["paths"]) == {"/v1/parse", "/v1/models", "/metrics", "/healthz", "/readyz"}
    parse = api["paths"]["/v1/parse"]["post"]
    assert {int(status) for status in parse["responses"]} == {
        200,
        *(status for status, _ in REFUSALS.values()),
    }
    for path in api["paths"]:
        assert path in page.text
    kinds = {"200": "Parsing", "404": "Refused", "429": "Refused"}
    for status, name in kinds.items():
        content = parse["responses"][status]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{name}"}
        assert "examples" in content or schema.Parsing(**content["example"])
    (tmp_path / "me.jpg").write_bytes(JPEG)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(docs.PYTHON.replace("{base}", f"http://127.0.0.1:{served.port}"), names)
    first = expected.parts()[0]
    assert np.array_equal(names["mask"], expected.mask(first.label))


# Starting it


def test_settings_out_of_range_are_refused() -> None:
    for wrong in (
        {"models": ()},
        {"models": ("lite-atr", "lite-atr")},
        {"models": (ParserOptions(fast_decode=True),)},
        {"queue": 0},
        {"timeout": -1.0},
        {"batch": -1},
        {"buffer_bytes": 1000},
        {"buffer_pixels": 1000},
        {"api_key": ""},
    ):
        with pytest.raises(ServeError):
            ServeSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no-such"):
        ServeSettings(models=("no-such",))


def test_settings_reach_another_process_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = ParserOptions("schp-cihp", weights={"global": "x.pth"}, scales=(0.5, 1.0), rule="mce2p")
    settings = ServeSettings((ParserOptions(test_size=(64, 96)), ensemble), api_key="k", people=True)
    monkeypatch.setenv("HUMANPARSE_SERVE", settings.to_json())
    assert ServeSettings.from_environment() == settings


def test_a_taken_port_and_wrong_options_are_errors_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = runner(tmp_path, monkeypatch, capsys, "serve")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("--port", taken.getsockname()[1])
    assert done.status == 1 and "cannot listen at 127.0.0.1" in done.err and "--port" in done.err
    assert "no-such" in command("-m", "no-such").err
    assert "--weights takes MODEL=FILE" in command("--weights", "x.pth").err
    assert "says twice" in command("--weights", "lite-atr=a", "--weights", "lite-atr:network=b").err
    assert "schp-lip, which is not served" in command("--weights", "schp-lip=x.pth").err
    assert "rule must be one of schp" in command("--rule", "sum").err
    assert "protocol must be one of" in command("--protocol", "sum").err
    assert "'tpu' is not a device" in command("--device", "tpu").err
    assert "fp16 needs CUDA" in command("--device", "cpu", "--precision", "fp16").err
    done = command("-m", "schp-lip", "--port", "0")  # offline, and nowhere on this disk
    assert done.status == 1 and "schp-lip" in done.err


def test_without_the_packages_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "import humanparse.serve as serve\n"
        "try: serve.create_app()\n"
        "except serve.ServeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "humanparse[serve]"' in done.stdout and "fastapi" in done.stdout
