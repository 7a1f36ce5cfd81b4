"""Recognises files that are not weights although they should be, whatever their suffix."""

from __future__ import annotations

import zipfile
from pathlib import Path

_SIGNATURES = (
    (b"\x1f\x8b", "a gzip archive; unpack it and take the file inside"),
    (b"BZh", "a bzip2 archive; unpack it and take the file inside"),
    (b"\xfd7zXZ", "an xz archive; unpack it and take the file inside"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and take the file inside"),
    (b"Rar!", "a RAR archive; unpack it and take the file inside"),
    (b"%PDF", "a PDF document; get the file of weights"),
    (b"\x89PNG", "a picture; get the file of weights"),
    (b"\xff\xd8\xff", "a picture; get the file of weights"),
)
_HEAD = 4096


def is_page(head: bytes) -> bool:
    """Whether a file that begins with `head` is a web page, as servers often send instead of an error."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def stand_in(head: bytes) -> str | None:
    """Like `impostor`, for what servers and Git give in place of a file; `head` is the file's beginning."""
    if head.startswith(b"version https://git-lfs"):
        return (
            "a Git LFS pointer, a few lines of text in place of the file; run `git lfs pull` where it was "
            "cloned, or download the file itself"
        )
    return "a web page instead of a file; download the file itself" if is_page(head) else None


def is_onnx(path: Path) -> bool:
    """Whether a file is an ONNX graph, by its content: a small number, the version, and then text."""
    with path.open("rb") as file:
        head = file.read(3)
    return len(head) == 3 and head[0] == 0x08 and 2 < head[1] < 32 and head[2] in b"\x12\x1a\x22\x28\x32\x3a"


def impostor(path: Path) -> str | None:
    """What a file is instead of weights, and what to do: the end of `it is …`. None if it may be weights."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty; get another copy"
    if (told := stand_in(head)) is not None:
        return told
    for signature, told in _SIGNATURES:
        if head.startswith(signature):
            return told
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(path)
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it and take the file inside"
    if _is_text(head):
        return "a text file; get the file of weights"
    return None


def _of_zip(path: Path) -> str | None:
    """`impostor` for a zip archive. Torch saves zip archives with a pickle and tensors in one folder."""
    try:
        if not zipfile.is_zipfile(path):
            size = path.stat().st_size
            return f"cut off after {size} bytes: the end of the archive is missing; get another copy"
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises many kinds of errors for damaged archives
        return "a damaged zip archive; get another copy"
    if any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        return None
    few = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"a zip archive of other files ({few}); unpack it and take the file inside"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t\ufeff" for character in text)
