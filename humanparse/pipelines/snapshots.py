"""Takes pictures now and decodes them later, even if their owner changes them in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from .. import decode, image
from ..arrays import Picture
from ..errors import ImageError


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A picture that cannot change any more; `load` decodes it in any thread, like `image.load`."""

    load: Callable[[], Picture]


def snapshot(source: Any) -> Snapshot:
    """Take a picture as it is now. Call this in the owner's thread, before the owner can change it.

    Arrays, tensors and PIL images are copied (the current frame of an animation), and open files are read.
    Paths, URLs and bytes are kept, because they do not change. Where possible, `Snapshot.load` decodes. It
    also raises all errors. A snapshot is returned as it is.
    """
    if isinstance(source, Snapshot):
        return source
    if isinstance(source, str | bytes | os.PathLike):
        return Snapshot(partial(image.load, source))
    name = image.describe(source)
    try:
        return Snapshot(partial(image.load, _own(source, name), name=name, copy=False))
    except Exception as error:  # any object may claim to be a file or an array
        return Snapshot(partial(_fail, error))


def check_several(sources: Any) -> None:
    """Check that `sources` may be several pictures."""
    name = image.describe(sources)
    if isinstance(sources, str | os.PathLike):
        raise ImageError(
            f"sources is one {type(sources).__name__}, {name}; pass a list, [source], or for the files of a "
            'folder sorted(pathlib.Path(folder).glob("*.jpg"))'
        )
    single = isinstance(sources, bytes | bytearray | memoryview | Image.Image) or hasattr(sources, "read")
    if single or _is_one_array(sources):
        raise ImageError(f"sources is one picture, {name}; pass a list, [source], or call predict(source)")
    if not isinstance(sources, Iterable) and not hasattr(sources, "__getitem__"):
        raise ImageError(f"sources is {name}; pass several pictures: a list, a generator or another iterable")


def _is_one_array(sources: Any) -> bool:
    """Whether this is one picture as an array or a tensor, not a stack of pictures or an array of paths."""
    tensor = image.is_tensor(sources)
    if not tensor and getattr(getattr(sources, "dtype", None), "kind", "") not in ("b", "i", "u", "f"):
        return False
    shape = tuple(sources.shape)
    return len(shape) < 3 or (len(shape) == 3 and shape[0 if tensor else 2] in (1, 3, 4))


def unchanging(source: Any) -> Snapshot:
    """A snapshot without a copy, for a picture that nobody will change, in any form of `image.load`."""
    return Snapshot(partial(image.load, source, copy=False))


def _own(source: Any, name: str) -> Any:
    """A copy of the picture for our own use."""
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, Image.Image):
        return decode.copied(source, name, image.MAX_PIXELS)
    if isinstance(source, np.ndarray):
        return np.array(source, order="C", subok=False)
    if image.is_tensor(source):
        try:
            return source.detach().to("cpu", copy=True)
        except (RuntimeError, NotImplementedError):  # it has no data; `image.load` raises the error
            return source
    if hasattr(source, "read"):
        return bytes(image.read_file(source, name))
    if image.is_array_like(source):
        return np.array(image.as_array(source, name), order="C")
    return source


def _fail(error: Exception) -> Picture:
    raise error
