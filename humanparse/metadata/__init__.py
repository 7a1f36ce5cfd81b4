"""Removes metadata from encoded pictures, so that bad metadata does not prevent reading good pixels.

Pillow reads every text, profile and resolution before any pixel, and refuses a picture if one of them is
damaged or too large. OpenCV does not. So Pillow only gets the parts that affect the pixels:

- PNG: the critical chunks. So a text chunk named `interlace` or `transparency` cannot affect pixels.
- JPEG: everything except comments and application segments. The JFIF and Adobe segments are kept, because
  they say how colours are stored.
- WebP: image and animation chunks.
- GIF: header, palette, and everything from the first image on.
- JPEG 2000: header boxes and codestream.
- TIFF: the tags of the first page that are needed to decode it.
- AVIF: everything; Exif and XMP items are renamed, so that libavif skips them.

Large files are not copied: `Pixels.open` returns a view with parts left out or replaced. A file whose
structure is not understood is passed on unchanged, so that Pillow can say what is wrong with it.
"""

from __future__ import annotations

import io
from typing import IO

from .boxes import avif, jpeg_2000
from .chunks import gif, jpeg, png, webp
from .tiff import orientation_of as orientation_of
from .tiff import tiff
from .view import Pixels as Pixels


def pixels_of(file: IO[bytes]) -> Pixels | None:
    """Find the parts of an encoded picture that affect its pixels, in a seekable file.

    It is None for formats whose metadata does no harm, and for files that are not understood.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return png(file, size)
    if head.startswith(b"\xff\xd8\xff"):
        return jpeg(file, size)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return webp(file, size)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return gif(file, size)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return tiff(file, size)
    if head[4:8] == b"jP  ":
        return jpeg_2000(file, size)
    if head[4:8] == b"ftyp":
        return avif(file, size)
    return None
