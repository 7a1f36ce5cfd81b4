"""Which files are pictures by their name: one list for folders, globs and tars."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping

from PIL import Image

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".ras", ".ico"),
    )
)
"""Suffixes of pictures that are read without plugins."""

PLUGINS = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".jxl": "JXL"}
"""Suffixes of pictures that Pillow reads once a plugin is registered -> Pillow's name of the format."""

UNREAD = frozenset(
    (
        *(".psd", ".psb", ".xcf", ".svg", ".svgz", ".eps", ".exr", ".hdr", ".pfm", ".tga", ".dds", ".pcx"),
        *(".icns", ".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf"),
        *(".orf", ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".jxr", ".wdp", ".fits"),
    )
)
"""Suffixes of pictures that are not read: camera raw, drawings, high dynamic range, old programs."""


def suffix_of(name: str) -> str:
    """`"A/B.JPG"` -> `".jpg"`."""
    return os.path.splitext(name)[1].lower()


def is_picture(name: str) -> bool:
    """Whether a file is a picture that can be read, by its name."""
    suffix = suffix_of(name)
    return suffix in SUFFIXES or PLUGINS.get(suffix) in Image.OPEN


def looks_like_picture(name: str) -> bool:
    """Whether a file is a picture by its name, but of a kind that is not read."""
    suffix = suffix_of(name)
    return not is_picture(name) and (suffix in PLUGINS or suffix in UNREAD)


def reason_against(path: str) -> str:
    """Why a file that looks like a picture is left out: `hidden…`, or the suffix of a kind that is not read.

    It is empty for pictures that are read, and for other files. Folders, with `/`, may be hidden, too.
    """
    if not (is_picture(path) or looks_like_picture(path)):
        return ""
    parts = path.split("/")
    if any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts):
        return "hidden, such as the ._ files of macOS"
    return "" if is_picture(path) else suffix_of(path)


def left_out(paths: Iterable[str]) -> str:
    """`"3 files that look like pictures (2 .heic, 1 .psd); …"`; empty if nothing is left out."""
    return told(Counter(filter(None, map(reason_against, paths))))


def told(counts: Mapping[str, int]) -> str:
    """The same from counts of suffixes, and of other reasons, which do not begin with a dot."""
    reasons = [f"{count} {reason}" for reason, count in sorted(counts.items()) if not reason.startswith(".")]
    kinds = {suffix: count for suffix, count in sorted(counts.items()) if suffix.startswith(".")}
    if kinds:
        number = sum(kinds.values())
        what = "file that looks like a picture" if number == 1 else "files that look like pictures"
        listed = ", ".join(f"{count} {suffix}" for suffix, count in kinds.items())
        repair = f"convert {'it' if number == 1 else 'them'} to JPEG or PNG"
        reasons.insert(0, f"{number} {what} ({listed}); {repair}")
    return "; ".join(reasons)
