"""Downloads files from Google Drive: answers the confirmation page, and explains refusals."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from ..fetching import Client
from .download import Connect, SourceError, redact

ENDPOINT = "https://drive.usercontent.google.com/download"

_REFUSALS = (
    (
        ("quota exceeded", "too many users have viewed"),
        "Google Drive's download quota for this file is used up today",
    ),
    (("you need access", "sign in", "accounts.google.com"), "the file is not shared with everyone"),
    (("not found", "does not exist"), "the file is gone from Google Drive"),
)


def connect(file_id: str) -> Connect:
    """A function that opens the file of `drive.google.com/open?id=FILE_ID`, and confirms if Drive asks."""

    def open_file(client: Client, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        url = f"{ENDPOINT}?{urlencode({'id': file_id, 'export': 'download', 'confirm': 't'})}"
        response = client.open(url, headers)
        if response.headers.get_content_type() != "text/html":
            return response
        with response:
            page, here = response.read(1 << 20).decode("utf-8", "replace"), response.geturl()
        confirmed = confirmation(page, here)
        if confirmed is None:
            raise SourceError(_refusal(page))
        response = client.open(confirmed, headers)
        if response.headers.get_content_type() == "text/html":
            with response:
                raise SourceError(_refusal(response.read(1 << 20).decode("utf-8", "replace")))
        return response

    return open_file


def confirmation(page: str, here: str) -> str | None:
    """The address behind "Download anyway", from the page's form or, on older pages, its link.

    It is None if the page, at the address `here`, asks for no confirmation.
    """
    found = _ConfirmPage()
    found.feed(page)
    if found.action is not None and found.fields:
        url, fields = urljoin(here, found.action), found.fields
    elif found.link is not None:
        url, fields = urljoin(here, found.link), {}
    else:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.scheme != urlsplit(here).scheme:
        raise SourceError(f"the confirm page leads to an unprotected address, {redact(url)}")
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **fields}), fragment="").geturl()


class _ConfirmPage(HTMLParser):
    """Collects the download form with its hidden fields, and a link that contains `confirm=`."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.link: str | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if (
            tag == "form"
            and self.action is None
            and "download" in values.get("id", "") + values.get("action", "")
        ):
            self.action, self._inside = values.get("action", ""), True
        elif tag == "input" and self._inside and values.get("type") == "hidden" and "name" in values:
            self.fields[values["name"]] = values.get("value", "")
        elif tag == "a" and self.link is None and "confirm=" in values.get("href", ""):
            self.link = values["href"]

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


def _refusal(page: str) -> str:
    text = page.lower()
    for signs, meaning in _REFUSALS:
        if any(sign in text for sign in signs):
            return meaning
    return "Google Drive sent a web page instead of the file"
