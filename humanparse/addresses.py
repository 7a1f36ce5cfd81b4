"""Removes secrets from URLs for messages, logs, journals and file names.

Each secret is replaced by `…`. Secrets are the user name and the password; and in the query, the values of
parameters named token, signature, password and the like (see `_SECRET`), and of a parameter `key` if it looks
like a key.
"""

from __future__ import annotations

import hashlib
import re

HIDDEN = "…"
"""Replaces a secret."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s'\"<>]*")  # bounded: texts may be long
_PUNCTUATION = ".,:;)]"  # after an address, these belong to the sentence

_SECRET = re.compile(
    r"token|signature|credential|secret|passw|api_?key|access_?key|auth_?key|authori[sz]ation|jwt|hmac"
    r"|session_?id|^(?:sig|sign|auth|pass|pwd|pw|policy)$",
    re.IGNORECASE,
)
"""Names of parameters whose values are secrets."""

_KEY = re.compile(r"[\w-]{20,}")  # a value of `key` that is a secret, not the name of a file

_TELLING = 16
"""A secret of at least this many characters is too long to be guessed from its hash."""


def printable(address: str) -> str:
    """An address without its secrets; any other text is returned unchanged.

    `"https://me:pw@host/a.jpg?w=9&token=t"` -> `"https://…@host/a.jpg?w=9&token=…"`
    """
    return _hide(address)[0]


def distinct(address: str) -> str:
    """A unique name of a URL without secrets: `printable`, and a hash of long secrets in the query.

    User name and password are not hashed: they decide who may see a picture, not which picture it is. The
    function returns its own results unchanged.
    """
    text, secrets = _hide(address)
    return f"{text} #{_hash(secrets)}" if secrets else text


def query_hash(address: str) -> str:
    """Eight digits for the query of an address, for use in file names; empty if it has no query."""
    text, secrets = _hide(address)
    query = text.partition("#")[0].partition("?")[2]
    return _hash([query, *secrets]) if query else ""


def redact(text: str) -> str:
    """A text with its addresses made `printable`."""
    return _ADDRESS.sub(_without_secrets, text) if "://" in text else text


def _without_secrets(found: re.Match[str]) -> str:
    address = found[0].rstrip(_PUNCTUATION)
    return printable(address) + found[0][len(address) :]


def _hide(address: str) -> tuple[str, list[str]]:
    """`printable`, and the secrets of the query that cannot be guessed."""
    scheme, separator, rest = address.partition("://")
    if not separator or not scheme.strip().replace("+", "").replace("-", "").replace(".", "").isalnum():
        return address, []
    end = len(re.split(r"[/?#]", rest, maxsplit=1)[0])
    if "@" not in rest[:end] and re.search(r":(?!\d*$)", rest[:end]):  # the password contains / ? or #
        end = max(end, rest.rfind("@"))
    at = rest.rfind("@", 0, end + 1)
    if at >= 0:
        rest = f"{HIDDEN}@{rest[at + 1 :]}"
    secrets: list[str] = []

    def hide(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        secret = _SECRET.search(name) or (name.lower() == "key" and _KEY.fullmatch(value))
        if not secret or value.strip() == HIDDEN:
            return found[0]
        if len(value) >= _TELLING:
            secrets.append(value)
        return f"{found['before']}{name}={HIDDEN}"

    rest = re.sub(r"(?P<before>[?&;#])(?P<name>[^=&;#?]+)=(?P<value>[^&;#]+)", hide, rest)
    return f"{scheme}://{rest}", secrets


def _hash(parts: list[str]) -> str:
    return hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
