"""Loads a picture as RGB uint8 (H, W, 3) from a path, URL, bytes, file object, PIL image, array or tensor.

Encoded pictures have the pixels of `cv2.imread(path, cv2.IMREAD_COLOR)`, in RGB order. `humanparse.decode`
describes this, and lists the few exceptions. Of an animation, the first frame is taken.
"""

from __future__ import annotations

import io
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import decode
from .addresses import printable
from .errors import ImageError
from .fetching import Client, DownloadError, StatusError, TooLarge
from .messages import said, shorten

MAX_PIXELS = 200_000_000
"""Largest height x width to decode; a file with more in its header is refused. You may change it."""

MAX_BYTES = 200_000_000
"""Largest answer accepted from a URL."""

TIMEOUT = 30.0
"""Seconds that a web server may stay silent."""

MAX_SECONDS = 300.0
"""Seconds that a whole download may take."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|(data):")
_SHAPES = "(H, W, 3), (H, W, 4), (H, W, 1) or (H, W)"
_TENSOR_SHAPES = "(3, H, W), (4, H, W), (1, H, W) or (H, W)"


def load(source: Any, *, name: str | None = None, copy: bool = True) -> NDArray[np.uint8]:
    """Read a picture from whatever holds it.

    Args:
        source: one of
            - `str` or `os.PathLike`: a file. A `str` that starts with http:// or https:// is downloaded: a
              user name and a password in it are sent as Basic authentication, blanks around it are dropped;
            - `bytes`, `bytearray`, `memoryview`: the content of a file;
            - a binary file object: read from its position to its end, and left open;
            - a PIL image of any mode: treated like its file, so that an EXIF orientation is applied;
            - a numpy array, or an object with `__array__`: RGB (H, W, 3), RGBA (H, W, 4), grey (H, W) or
              (H, W, 1); uint8 0-255, uint16 0-65535 (`>> 8`, as OpenCV does), bool, or float in 0-1 (rounded
              to the nearest of 256 levels; up to half a level outside is clipped);
            - a torch tensor on any device: (3, H, W), (4, H, W), (1, H, W) or (H, W), values as for arrays.

            Alpha is dropped, not blended. Arrays from cv2 are BGR: flip them (`array[..., ::-1]`) first.
        name: the picture's name in error messages; None describes the source.
        copy: False may return the source's own pixels if it is an array or a tensor.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous. With `copy` it is a new array.

    Raises:
        ImageError: the source cannot be read, is not a picture, is truncated or larger than `MAX_PIXELS`, or
            its shape, dtype or value range is ambiguous. The message names the source.
    """
    name = describe(source) if name is None else name
    if isinstance(source, str):
        if scheme := _SCHEME.match(source.strip()):
            return _load_url(source.strip(), (scheme[1] or scheme[2]).lower(), name)
        return _load_file(source, name)
    if isinstance(source, os.PathLike):
        return _load_file(os.fsdecode(source), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode.stream_to_rgb(io.BytesIO(bytes(source)), name, MAX_PIXELS)
    if isinstance(source, Image.Image):
        return decode.picture_to_rgb(source, name, MAX_PIXELS)
    if isinstance(source, np.ndarray):
        return _array_to_rgb(source, name, copy)
    if is_tensor(source):
        return _tensor_to_rgb(source, name, copy)
    if hasattr(source, "read"):
        return decode.stream_to_rgb(io.BytesIO(read_file(source, name)), name, MAX_PIXELS)
    if is_array_like(source):
        return _array_to_rgb(as_array(source, name), name, copy)
    hint = " (cv2.imread gives None for a file that it cannot read)" if source is None else ""
    raise ImageError(
        f"{name}: not a picture{hint}; pass a path, URL, bytes, file object, PIL image, array or torch tensor"
    )


def describe(source: Any) -> str:
    """Name an input for a message: "photo.jpg", "bytes (12345 B)", "array (480, 640, 3) uint8"."""
    if isinstance(source, str | os.PathLike):
        text = os.fsdecode(source)
        return shorten(printable(text.strip()) if "://" in text else text) or "'' (an empty path)"
    if isinstance(source, bytes | bytearray | memoryview):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        return f"{type(source).__name__} ({size} B)"
    if isinstance(source, Image.Image):
        origin = getattr(source, "filename", "")
        width, height = source.size
        kind = f"PIL image ({height}, {width}) {source.mode}"
        return f"{kind} from {shorten(os.fsdecode(origin))}" if origin else kind
    if isinstance(source, np.ndarray):
        return f"array {source.shape} {source.dtype}"
    if is_tensor(source):
        return f"tensor {tuple(source.shape)} {str(source.dtype).removeprefix('torch.')}"
    if hasattr(source, "read"):
        origin = getattr(source, "name", None)
        return (
            f"file {shorten(origin)}" if isinstance(origin, str) else f"file object {type(source).__name__}"
        )
    return "None" if source is None else f"object of type {type(source).__name__}"


def _load_file(path: str, name: str) -> NDArray[np.uint8]:
    if os.path.isdir(path):
        raise ImageError(f"{name}: it is a directory; pass the pictures in it one by one")
    try:
        stream = open(path, "rb")  # noqa: SIM115, the errors of reading have other messages
    except FileNotFoundError as error:
        place = os.path.dirname(os.path.abspath(path))
        raise ImageError(f"{name}: there is no such file (looked in {shorten(place)})") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name}: the file cannot be opened: {reason}") from error
    with stream:
        if stream.seekable():
            return decode.stream_to_rgb(stream, name, MAX_PIXELS)
        return decode.stream_to_rgb(io.BytesIO(stream.read()), name, MAX_PIXELS)


def read_file(file: Any, name: str) -> bytes | bytearray | memoryview:
    """Read an open binary file from its position to its end; an empty rest is an error."""
    try:
        content = file.read()
    except Exception as error:  # any object may claim to be a file
        raise ImageError(f"{name}: reading failed: {error}") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        raise ImageError(
            f'{name}: it gives {type(content).__name__}, not bytes; open it in binary mode ("rb")'
        )
    if not content:
        raise ImageError(
            f"{name}: it is empty, or at its end; call .seek(0) if you have just written or read it"
        )
    return content


def _load_url(url: str, scheme: str, name: str) -> NDArray[np.uint8]:
    if scheme not in ("http", "https"):
        repair = {
            "file": "pass the path itself",
            "data": "decode the base64 part after the comma and pass the bytes",
        }.get(scheme, "download the file and pass its path")
        raise ImageError(f"{name}: only http and https URLs are downloaded; {repair}")
    return decode.stream_to_rgb(io.BytesIO(_download(url, name)), name, MAX_PIXELS)


def _download(url: str, name: str) -> bytes:
    headers = {"User-Agent": "humanparse (Python urllib)", "Accept": "image/*, */*;q=0.5"}
    client = Client(headers=headers, silence=TIMEOUT, seconds=MAX_SECONDS, logins=True)
    try:
        return client.read(url, MAX_BYTES)
    except TooLarge:
        raise ImageError(
            f"{name}: the answer is larger than {MAX_BYTES} bytes; raise humanparse.image.MAX_BYTES"
        ) from None
    except StatusError as error:
        login = ", the user name and the password" if error.status in (401, 403) else ""
        raise ImageError(f"{name}: {error}; check the address{login}") from error
    except DownloadError as error:
        raise ImageError(
            f"{name}: the download failed: {error}; try again, or pass the path of a copy"
        ) from error


def is_array_like(source: Any) -> bool:
    """Whether this object claims to convert to a numpy array."""
    return hasattr(source, "__array_interface__") or hasattr(source, "__array__")


def as_array(source: Any, name: str) -> NDArray[Any]:
    """Convert an object that `is_array_like` to an array."""
    try:
        return np.asarray(source)
    except Exception as error:  # a foreign __array__ may raise any error
        raise ImageError(f"{name}: it cannot be converted to a numpy array: {said(error)}") from error


def is_tensor(source: Any) -> bool:
    """Whether this is a torch tensor, or of a class derived from it, without importing torch."""
    return any(kind.__name__ == "Tensor" and kind.__module__ == "torch" for kind in type(source).__mro__)


def _tensor_to_rgb(tensor: Any, name: str, copy: bool) -> NDArray[np.uint8]:
    shape = tuple(tensor.shape)
    if len(shape) == 3 and shape[0] not in (1, 3, 4) and shape[2] in (1, 3, 4):
        raise ImageError(f"{name}: this looks channels-last; pass tensor.permute(2, 0, 1)")
    if len(shape) != 2 and not (len(shape) == 3 and shape[0] in (1, 3, 4)):
        raise ImageError(f"{name}: a tensor must be {_TENSOR_SHAPES}; {_shape_repair('tensor', shape)}")
    try:
        tensor = tensor.detach().cpu()
        array = np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())
    except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, meta, quantised
        raise ImageError(f"{name}: the tensor cannot be converted to an array: {error}") from error
    return _array_to_rgb(array if array.ndim == 2 else array.transpose(1, 2, 0), name, copy)


def _array_to_rgb(array: NDArray[Any], name: str, copy: bool) -> NDArray[np.uint8]:
    shape = array.shape
    if len(shape) == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        raise ImageError(f"{name}: this looks channels-first; pass image.transpose(1, 2, 0)")
    if len(shape) != 2 and not (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise ImageError(f"{name}: an array must be {_SHAPES}; {_shape_repair('array', shape)}")
    if 0 in shape:
        raise ImageError(f"{name}: the picture has no pixels")
    pixels = _bytes_of(array, name)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    rgb = pixels[..., :3]
    return np.array(rgb, order="C", subok=False) if copy else np.ascontiguousarray(rgb)


def _shape_repair(what: str, shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return f"this looks like a batch: pass its pictures one by one, the first is {what}[0]"
    if len(shape) == 1:
        return (
            f"if it holds the content of a file, pass {what}.tobytes()" if what == "array" else "reshape it"
        )
    return "reshape it, or pass one picture at a time"


def _bytes_of(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Pixel values as uint8 0-255."""
    pixels: NDArray[np.uint8]
    if array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:  # either byte order
        pixels = (array >> 8).astype(np.uint8)
    elif array.dtype.kind == "f":
        pixels = decode.floats_to_bytes(array, name)
    else:
        raise ImageError(
            f"{name}: pixels must be uint8, uint16, bool or float in 0-1, not {array.dtype}; "
            "if the values are 0-255, convert them to uint8"
        )
    return pixels
