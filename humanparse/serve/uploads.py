"""Reads the picture from a request's body, in any supported form, without holding more than allowed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import quopri
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from .admission import Hold
from .refusals import Refusal
from .settings import FRAMING

_WAYS = (
    "send the picture itself with its type (Content-Type: image/jpeg), a form with the file as `image`, or "
    'JSON such as {"image_base64": "…"}'
)
_MARKS = 64
"""Most brackets and commas in JSON; parsed, millions of them take a hundred times their size in memory."""


@dataclass(frozen=True)
class Picture:
    """A picture as it was sent: its bytes, or its URL."""

    content: bytes = b""
    url: str | None = None


async def receive(
    headers: dict[str, str], body: AsyncIterator[bytes], most_bytes: int, seconds: float, hold: Hold
) -> Picture:
    """Read a body.

    Args:
        headers: the request's headers, names in lower case.
        body: the body, piece by piece.
        most_bytes: largest picture.
        seconds: time until its last byte.
        hold: counts the bytes that are held.

    Raises:
        Refusal: wrong type, too large, too slow, or not what its type says.
    """
    kind, boundary = _kind(headers)
    if kind not in ("application/json", "multipart/form-data"):
        return Picture(await _whole(headers, body, most_bytes, seconds, hold))
    content = await _whole(headers, body, (most_bytes + 2) // 3 * 4 + FRAMING, seconds, hold)
    hold(len(content))  # for a moment the unpacked picture is in memory, too
    if kind == "application/json":
        return await asyncio.to_thread(_from_json, content, most_bytes)
    return await asyncio.to_thread(_from_form, content, boundary, most_bytes)


def _kind(headers: dict[str, str]) -> tuple[str, str]:
    """The body's type, and the boundary of a form."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal("unsupported_media_type", "send the body without Content-Encoding")
    message = Message()
    message["Content-Type"] = headers.get("content-type", "application/octet-stream")
    kind = message.get_content_type()
    known = ("application/json", "multipart/form-data", "application/octet-stream")
    if kind not in known and not kind.startswith("image/"):
        raise Refusal("unsupported_media_type", f"{kind} is not supported: {_WAYS}")
    boundary = message.get_param("boundary", "")
    if kind == "multipart/form-data" and not boundary:
        raise Refusal(
            "malformed_request", "the form's Content-Type names no boundary; let your client set it"
        )
    return kind, str(boundary)


async def _whole(
    headers: dict[str, str], body: AsyncIterator[bytes], most: int, seconds: float, hold: Hold
) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    content = bytearray()

    async def read() -> None:
        async for chunk in body:
            if len(content) + len(chunk) > most:
                raise _too_large(most)
            hold(len(chunk))
            content.extend(chunk)

    try:
        await asyncio.wait_for(read(), seconds)
    except asyncio.TimeoutError:
        raise Refusal(
            "slow_upload",
            f"the upload was not complete after {seconds:g} s ({len(content)} bytes arrived); use a faster "
            "connection, or send a smaller picture",
        ) from None
    return bytes(content)


def _too_large(most: int) -> Refusal:
    return Refusal("too_many_bytes", f"the body has more than {most} bytes; send a smaller picture")


def _bounded(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise _too_large(most)
    return content


def _from_json(content: bytes, most: int) -> Picture:
    if sum(map(content.count, (b",", b"[", b"{"))) > _MARKS:
        raise Refusal(
            "malformed_request", 'the JSON has too many values; send an object such as {"image_base64": "…"}'
        )
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refusal("malformed_request", f"the body is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise Refusal("malformed_request", 'send an object such as {"image_base64": "…"}')
    return _picture({key: record[key] for key in record if record[key] is not None}, most)


def _from_form(content: bytes, boundary: str, most: int) -> Picture:
    form = _Form()
    try:
        parser = MultipartParser(boundary.encode("latin-1"), form.callbacks())  # type: ignore[arg-type]
        parser.write(content)
        parser.finalize()
    except (FormParserError, UnicodeError, ValueError) as error:
        raise Refusal("malformed_request", f"the form cannot be read: {error}") from None
    if not form.complete:
        raise Refusal("malformed_request", "the form is cut off before its end; send it again")
    fields: dict[str, Any] = {}
    for name, encoding, sent in form.fields:
        value = _transferred(name, encoding, sent)
        if name in fields:
            raise Refusal("malformed_request", f"the form has {name!r} twice; send one picture at a time")
        fields[name] = value if name == "image" else value.decode("utf-8", "replace")
    return _picture(fields, most)


def _picture(fields: dict[str, Any], most: int) -> Picture:
    """The one picture that fields name."""
    misplaced = sorted({"model", "scheme", "people", "format"}.intersection(fields))
    if misplaced:
        raise Refusal(
            "malformed_request",
            f"{misplaced[0]} belongs in the URL, not in the body: POST /v1/parse?{misplaced[0]}=…",
        )
    unknown = set(fields) - {"image", "image_base64", "url"}
    if unknown or len(fields) != 1:
        given = ", ".join(sorted(fields)) or "nothing"
        raise Refusal(
            "malformed_request", f"send one of image (a file), image_base64 or url; the body has {given}"
        )
    ((name, value),) = fields.items()
    if name == "image" and isinstance(value, bytes):
        return Picture(_bounded(value, most))
    if not isinstance(value, str) or name == "image":
        raise Refusal("malformed_request", f"{name} cannot be sent like this; {_WAYS}")
    if name == "url":
        return Picture(url=value.strip())
    return Picture(_bounded(_from_base64(value), most))


def _transferred(name: str, encoding: str, sent: bytes) -> bytes:
    """The bytes of a form's field, decoded from the transfer encoding that its part names."""
    if encoding in ("", "binary", "8bit", "7bit"):
        return sent
    if encoding == "quoted-printable":
        return quopri.decodestring(sent)
    if encoding != "base64":
        raise Refusal(
            "malformed_request", f"{name} is in the transfer encoding {encoding}; send it without one"
        )
    try:
        return base64.b64decode(b"".join(sent.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("malformed_request", f"{name} is not base64, as its part says: {error}") from None


def _from_base64(text: str) -> bytes:
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise Refusal("malformed_request", "a data: URL must be in base64")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("malformed_request", f"image_base64 is not base64: {error}") from None


@dataclass
class _Form:
    """Collects the parts of a form from the parser's callbacks."""

    fields: list[tuple[str, str, bytes]] = field(default_factory=list)  # name, transfer encoding, value
    complete: bool = False
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _name: str = ""
    _encoding: str = ""
    _data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._name, self._encoding, self._data = "", "", bytearray()

    def _header_end(self) -> None:
        header = bytes(self._header).lower()
        if header == b"content-transfer-encoding":
            self._encoding = self._value.decode("latin-1").strip().lower()
        if header == b"content-disposition":
            message = Message()
            message["Content-Disposition"] = self._value.decode("utf-8", "replace")
            self._name = str(message.get_param("name", "", "content-disposition"))
        self._header, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        if len(self.fields) == 8:
            raise ValueError("it has more than 8 fields")
        self.fields.append((self._name, self._encoding, bytes(self._data)))

    def _finish(self) -> None:
        self.complete = True
