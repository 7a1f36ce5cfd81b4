"""Names of outputs: the input's own path, mirrored in the destination, without its suffix."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import unquote

from ..addresses import printable, query_hash

_LONGEST = 180
"""Most bytes of a path component; most file systems allow 255, and endings are added."""

_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE)
"""Names that Windows reserves for devices, with any suffix."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|\ud800-\udfff]")


def key_of_path(path: str, keep_suffix: bool = False) -> str:
    """`"a/b.jpg"` -> `"a/b"`: relative, inside the destination, fit for any file system.

    Args:
        path: the source's name, with `/` between folders; an absolute path loses its root, and `..` becomes
            `__`.
        keep_suffix: `"a/b.jpg"` stays as it is, so that it does not clash with `"a/b.png"`.
    """
    folders = [part for part in path.split("/") if part not in ("", ".")]
    if folders and not keep_suffix:
        folders[-1] = PurePosixPath(folders[-1]).stem
    return "/".join(map(_component, folders)) or "image"


def key_of_url(url: str, keep_suffix: bool = False) -> str:
    """`"https://me:pw@host.org/a/b.jpg?w=9"` -> `"host.org/a/b-…"`, with a hash of the query at its end."""
    host, _, path = re.split("[?#]", printable(url).partition("://")[2], maxsplit=1)[0].partition("/")
    path = key_of_path(f"{host.rpartition('@')[2]}/{unquote(path)}", keep_suffix)
    query = query_hash(url)
    return f"{path}-{query}" if query else path


def _component(name: str) -> str:
    name = _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name)
    if name == "..":
        return "__"
    if name.startswith("."):
        name = "_" + name[1:]  # hidden names are reserved for the run's own files
    if _DEVICE.match(name):
        name = "_" + name
    if name.endswith((".", " ")):  # Windows would drop it
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    return name if len(name.encode()) <= _LONGEST else shortened(name)


def shortened(name: str) -> str:
    """A name that is too long for a file, cut, with a hash of the whole name."""
    return f"{name.encode('utf-8', 'replace')[: _LONGEST - 9].decode(errors='ignore')}-{hash_of(name)}"


def hash_of(text: str) -> str:
    """Eight hex digits that distinguish names."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
