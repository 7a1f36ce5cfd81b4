"""Removes metadata from encoded pictures, so that bad metadata does not prevent reading good pixels.

Pillow reads every text, profile and resolution before any pixel, and refuses a picture if one of them is
damaged or too large. OpenCV does not. So Pillow only gets the parts that affect the pixels:

- PNG: the critical chunks. A text chunk cannot pose as `interlace` or `transparency` any more, either.
- JPEG: all but comments and application segments; JFIF's and Adobe's stay, which tell how colours are stored.
- WebP: image and animation chunks. GIF: all from the first image on. JPEG 2000: header boxes and codestream.
- TIFF: of the first page the tags that decode it. AVIF: all, with Exif and XMP items hidden from libavif.

Large files are not copied: `Pixels.open` gives a view with parts left out or replaced. A file whose structure
is not understood is passed on as it is, for Pillow to say what is wrong with it.
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
    """Find the parts of an encoded picture that affect its pixels.

    Args:
        file: seekable, with the picture from its first byte on.

    Returns:
        None for containers without metadata that could harm, and for what is not understood.

    Raises:
        OSError: reading failed.
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
