"""Videos: frames in, labels out, and both as videos again."""

from __future__ import annotations

from .frames import VideoFrame
from .parsed import ParsedVideo
from .reading import VideoReader

__all__ = ["ParsedVideo", "VideoFrame", "VideoReader"]
