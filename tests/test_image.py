"""`image.load` against `cv2.imread`, against a real web server, and with everything that is not a picture."""

import http.server
import io
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from humanparse import decode, image
from humanparse.errors import ImageError, ImageKindError, ImageSizeError

HEIGHT, WIDTH = 45, 61
SPOTS = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)


def photo() -> Image.Image:
    """Soft gradients, as in a photo: the chroma filters of the JPEG decoders have something to do."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(x / 7 + c) * np.cos(y / (5 + c)) for c in range(3)]
    return Image.fromarray(np.uint8(np.stack(waves, axis=2) * 120 + 128), "RGB")


def photo_with_alpha(mode: str = "RGBA") -> Image.Image:
    picture = photo().convert(mode)
    picture.putalpha(Image.fromarray(SPOTS[..., 3]))
    return picture


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def cv2_rgb(content: bytes, tmp_path: Path, suffix: str = ".bin") -> NDArray[np.uint8]:
    path = tmp_path / f"oracle{suffix}"
    path.write_bytes(content)
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:  # OpenCV 5.0 fails on a TIFF that it has to turn, but only from a file
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels[..., ::-1], np.uint8)


def same_as_cv2(content: bytes, tmp_path: Path) -> None:
    pixels = image.load(content)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, cv2_rgb(content, tmp_path))


# --- encoded pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"restart_marker_blocks": 3}, {"quality": 30}, {"quality": 98}], ids=str
)
def test_jpeg_equals_cv2(subsampling: str, progressive: bool, options: Any, tmp_path: Path) -> None:
    content = encoded(photo(), "JPEG", subsampling=subsampling, progressive=progressive, **options)
    same_as_cv2(content, tmp_path)


JPEGS = {
    "grey": lambda: encoded(photo().convert("L"), "JPEG"),
    "stored as RGB": lambda: encoded(photo(), "JPEG", keep_rgb=True),
    "CMYK": lambda: encoded(Image.fromarray(SPOTS, "CMYK"), "JPEG"),
    "CMYK marked as YCCK": lambda: encoded(Image.fromarray(SPOTS, "CMYK"), "JPEG").replace(
        b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2"
    ),
    "several pictures (MPO)": lambda: encoded(
        photo(), "MPO", save_all=True, append_images=[photo().transpose(Image.Transpose.ROTATE_180)]
    ),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_unusual_jpeg_equals_cv2(kind: str, tmp_path: Path) -> None:
    same_as_cv2(JPEGS[kind](), tmp_path)


def grey16() -> NDArray[np.uint16]:
    return SPOTS[..., 0].astype(np.uint16) * np.uint16(256) + SPOTS[..., 1]


def cv2_encoded(suffix: str, pixels: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def indexed(colours: int = 100) -> Image.Image:
    return photo().quantize(colours)


def frames() -> dict[str, Any]:
    return {"save_all": True, "append_images": [photo().transpose(Image.Transpose.ROTATE_180)]}


PNGS = {
    "RGB": lambda: encoded(photo(), "PNG"),
    "RGBA": lambda: encoded(photo_with_alpha(), "PNG"),
    "grey": lambda: encoded(photo().convert("L"), "PNG"),
    "grey with alpha": lambda: encoded(photo_with_alpha("LA"), "PNG"),
    "1 bit": lambda: encoded(photo().convert("1"), "PNG"),
    "palette": lambda: encoded(indexed(), "PNG"),
    "palette of 2 bits": lambda: encoded(indexed(4), "PNG", bits=2),
    "palette of 4 bits": lambda: encoded(indexed(16), "PNG", bits=4),
    "palette with a transparent colour": lambda: encoded(indexed(), "PNG", transparency=3),
    "palette with alpha": lambda: encoded(indexed(), "PNG", transparency=bytes(range(100))),
    "RGB with a transparent colour": lambda: encoded(photo(), "PNG", transparency=(1, 2, 3)),
    "16-bit grey": lambda: cv2_encoded(".png", grey16()),
    "16-bit RGB": lambda: cv2_encoded(
        ".png", np.stack([grey16(), grey16().T.reshape(HEIGHT, WIDTH)] * 2, 2)[..., :3]
    ),
    "16-bit RGBA": lambda: cv2_encoded(".png", np.stack([grey16(), grey16() ^ 0x5A5A] * 2, axis=2)),
    "animated": lambda: encoded(photo(), "PNG", **frames()),
    "one pixel": lambda: encoded(photo().crop((0, 0, 1, 1)), "PNG"),
    "with a colour profile": lambda: encoded(photo(), "PNG", icc_profile=b"not a profile"),
}


@pytest.mark.parametrize("kind", PNGS)
def test_png_equals_cv2(kind: str, tmp_path: Path) -> None:
    same_as_cv2(PNGS[kind](), tmp_path)


OTHERS = {
    "WebP": lambda: encoded(photo(), "WEBP"),
    "WebP, lossless": lambda: encoded(photo(), "WEBP", lossless=True),
    "WebP, alpha": lambda: encoded(photo_with_alpha(), "WEBP"),
    "WebP, lossless alpha": lambda: encoded(photo_with_alpha(), "WEBP", lossless=True, exact=True),
    "WebP, animated": lambda: encoded(photo(), "WEBP", **frames()),
    "BMP": lambda: encoded(photo(), "BMP"),
    "BMP, palette": lambda: encoded(indexed(), "BMP"),
    "BMP, 1 bit": lambda: encoded(photo().convert("1"), "BMP"),
    "BMP, alpha": lambda: encoded(photo_with_alpha(), "BMP"),
    "PPM": lambda: encoded(photo(), "PPM"),
    "PGM": lambda: encoded(photo().convert("L"), "PPM"),
    "PGM, 16 bits": lambda: b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + grey16().astype(">u2").tobytes(),
    "PBM": lambda: encoded(photo().convert("1"), "PPM"),
    "JPEG 2000": lambda: encoded(photo(), "JPEG2000"),
    "JPEG 2000, lossy": lambda: encoded(photo(), "JPEG2000", quality_layers=[20], irreversible=True),
    "TIFF": lambda: encoded(photo(), "TIFF"),
    "TIFF, LZW": lambda: encoded(photo(), "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": lambda: encoded(photo(), "TIFF", compression="jpeg"),
    "TIFF, grey": lambda: encoded(photo().convert("L"), "TIFF"),
    "TIFF, 1 bit": lambda: encoded(photo().convert("1"), "TIFF", compression="group4"),
    "TIFF, palette": lambda: encoded(indexed(), "TIFF"),
    "TIFF, CMYK": lambda: encoded(Image.fromarray(SPOTS, "CMYK"), "TIFF"),
    "TIFF, alpha": lambda: encoded(photo_with_alpha(), "TIFF", compression="tiff_lzw"),
    "TIFF, 16-bit grey": lambda: encoded(Image.fromarray(grey16()), "TIFF"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_equal_cv2(kind: str, tmp_path: Path) -> None:
    same_as_cv2(OTHERS[kind](), tmp_path)


def test_16_bit_colour_tiff_is_within_one_level_of_cv2(tmp_path: Path) -> None:
    content = cv2_encoded(".tiff", np.stack([grey16()] * 3, axis=2))
    difference = image.load(content).astype(int) - cv2_rgb(content, tmp_path)
    assert np.abs(difference).max() <= 1


def test_gif_gives_its_first_frame() -> None:
    first = indexed().convert("RGB")
    content = encoded(first.quantize(100), "GIF", **frames())
    np.testing.assert_array_equal(image.load(content), np.asarray(first))


def test_float_tiff_in_0_to_1_is_scaled_and_anything_else_is_refused() -> None:
    ramp = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    expected = np.rint(ramp * 255).astype(np.uint8)
    pixels = image.load(encoded(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_array_equal(pixels, np.stack([expected] * 3, axis=2))
    with pytest.raises(ImageError, match=r"^bytes .* not from 0 to 1"):
        image.load(encoded(Image.fromarray(ramp * 200), "TIFF"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_applied_as_cv2_does(form: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(), form, exif=exif)
    same_as_cv2(content, tmp_path)
    np.testing.assert_array_equal(image.load(Image.open(io.BytesIO(content))), image.load(content))


def test_orientation_in_xmp_alone_is_ignored_as_cv2_does(tmp_path: Path) -> None:
    content = encoded(photo(), "JPEG", xmp=b'<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>')
    same_as_cv2(content, tmp_path)


def test_broken_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    same_as_cv2(encoded(photo(), "JPEG", exif=b"Exif\0\0nonsense", dpi=(72, 72)), tmp_path)


def pillow_writes() -> st.SearchStrategy[tuple[str, NDArray[np.uint8]]]:
    sides = st.integers(1, 9)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}

    def pixels(mode: str) -> st.SearchStrategy[tuple[str, NDArray[np.uint8]]]:
        shape = st.tuples(sides, sides, st.just(channels[mode]))
        return st.tuples(st.just(mode), hnp.arrays(np.uint8, shape))

    return st.sampled_from(sorted(channels)).flatmap(pixels)


@settings(max_examples=150, deadline=None)
@given(case=pillow_writes(), suffix=st.sampled_from(["PNG", "BMP", "PNG16"]))
def test_any_small_picture_equals_cv2(case: tuple[str, NDArray[np.uint8]], suffix: str) -> None:
    mode, pixels = case
    if suffix == "PNG16" and mode != "LA":
        content = cv2_encoded(".png", pixels.astype(np.uint16) * 251)
    else:
        flat = pixels[..., 0] if mode == "L" else pixels
        content = encoded(Image.fromarray(flat, mode), "PNG" if mode == "LA" else suffix[:3])
    oracle = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(image.load(content), oracle[..., ::-1])


# --- where it comes from ------------------------------------------------------------------------------------


def test_path_bytes_file_and_pil_image_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    photo().save(path, quality=90)
    content = path.read_bytes()
    expected = cv2_rgb(content, tmp_path)
    with path.open("rb") as file, Image.open(path) as picture:
        sources = [
            path,
            str(path),
            content,
            bytearray(content),
            memoryview(content),
            io.BytesIO(content),
            file,
            picture,
        ]
        for source in sources:
            np.testing.assert_array_equal(image.load(source), expected, err_msg=image.describe(source))
        assert not file.closed


def test_a_path_object_that_is_not_pathlib_is_a_path(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "a.png")

    photo().save(tmp_path / "a.png")
    np.testing.assert_array_equal(image.load(Place()), np.asarray(photo()))


def test_files_are_closed(tmp_path: Path) -> None:
    photo().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image.load(tmp_path / "a.png")
        with pytest.raises(ImageError):
            image.load(tmp_path / "b.png")


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV", "CMYK"]
)
def test_every_pil_mode_of_8_bits_becomes_rgb(mode: str) -> None:
    through = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode)
    picture = (photo().convert(through) if through else photo()).convert(mode)
    pixels = image.load(picture)
    assert pixels.shape == (HEIGHT, WIDTH, 3) and pixels.dtype == np.uint8
    plain = picture.convert(through) if through in ("LA", "RGBA") else picture
    np.testing.assert_array_equal(pixels, np.asarray(plain.convert("RGB")))


def test_pil_image_is_left_as_it_was() -> None:
    picture = photo_with_alpha()
    before = picture.copy()
    image.load(picture)[:] = 0
    assert picture == before


def test_pil_integers_of_32_bits_are_refused() -> None:
    with pytest.raises(ImageError, match=r"^PIL image \(45, 61\) I: .*convert the picture to 8 bits"):
        image.load(photo().convert("I"))


def test_arrays_of_every_shape_and_dtype_mean_the_same_picture() -> None:
    rgb = np.asarray(photo())
    grey = rgb[..., 0]
    for array, expected in [
        (rgb, rgb),
        (SPOTS, SPOTS[..., :3]),
        (np.asfortranarray(rgb), rgb),
        (rgb[::-1, ::2], rgb[::-1, ::2]),
        (rgb.astype(np.uint16) * 256 + 255, rgb),
        ((rgb.astype(np.uint16) * 256 + 255).astype(">u2"), rgb),
        (rgb / 255, rgb),
        (rgb.astype(np.float32) / 255, rgb),
        (grey, np.stack([grey] * 3, 2)),
        (grey[..., None], np.stack([grey] * 3, 2)),
        (grey > 99, np.stack([(grey > 99) * 255] * 3, 2)),
        (rgb[:1, :1], rgb[:1, :1]),
    ]:
        pixels = image.load(array)
        np.testing.assert_array_equal(pixels, expected)
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and type(pixels) is np.ndarray


def test_half_precision_keeps_all_256_levels() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(image.load((levels / 255).astype(np.float16))[..., 0], levels)


def test_the_result_is_never_the_memory_of_the_caller() -> None:
    for shape in [(4, 5, 3), (4, 5, 1), (4, 5)]:
        array = np.zeros(shape, np.uint8)
        image.load(array)[:] = 9
        assert not array.any()


def test_whatever_turns_into_an_array_is_an_array() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[np.uint8]:
            return np.asarray(photo())

    class Interface:
        __array_interface__ = np.asarray(photo()).copy().__array_interface__
        keeps = SPOTS

    pixels = np.ascontiguousarray(np.asarray(photo()))
    Interface.__array_interface__ = pixels.__array_interface__
    np.testing.assert_array_equal(image.load(Foreign()), pixels)
    np.testing.assert_array_equal(image.load(Interface()), pixels)


def test_tensors_are_channels_first() -> None:
    torch = pytest.importorskip("torch")
    rgb = np.array(photo())
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    grey = np.stack([rgb[..., 0]] * 3, 2)
    for source, expected in [
        (tensor, rgb),
        (tensor.contiguous(), rgb),
        (tensor / 255, rgb),
        ((tensor / 255).double().requires_grad_(), rgb),
        (torch.nn.Parameter(tensor / 255), rgb),
        (tensor[:1], grey),
        (tensor[0], grey),
        (torch.from_numpy(SPOTS).permute(2, 0, 1), SPOTS[..., :3]),
        ((tensor > 99), (rgb > 99) * 255),
    ]:
        np.testing.assert_array_equal(image.load(source), expected)
    assert np.abs(image.load((tensor / 255).bfloat16()).astype(int) - rgb).max() <= 1
    image.load(tensor)[:] = 0
    assert tensor.any()
    for bad, repair in [
        (tensor.permute(1, 2, 0), r"tensor\.permute\(2, 0, 1\)"),
        (tensor[None], r"batch.*tensor\[0\]"),
        (tensor.float(), "not from 0 to 1"),
        (tensor.long(), "uint8"),
        (tensor.to("meta"), "cannot be converted to an array"),
    ]:
        with pytest.raises(ImageError, match=r"(?s)^tensor \(.*" + repair):
            image.load(bad)


# --- what is not a picture ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((3, 40, 50), np.uint8),
            r"array \(3, 40, 50\) uint8: .*channels-first.*transpose\(1, 2, 0\)",
        ),
        (np.zeros((2, 40, 50, 3), np.uint8), r"array \(2, 40, 50, 3\) uint8: .*batch.*array\[0\]"),
        (np.zeros((40, 50, 2), np.uint8), r"array \(40, 50, 2\) uint8: an array must be"),
        (np.zeros((9, 40, 50), np.uint8), r"array \(9, 40, 50\) uint8: an array must be"),
        (np.zeros(400, np.uint8), r"array \(400,\) uint8: .*tobytes"),
        (np.zeros((0, 50, 3), np.uint8), r"array \(0, 50, 3\) uint8: the picture has no pixels"),
        (np.zeros((4, 5, 3), np.int64), r"array \(4, 5, 3\) int64: .*convert them to uint8"),
        (np.zeros((4, 5, 3), complex), r"array \(4, 5, 3\) complex128: "),
        (np.zeros((4, 5, 3), object), r"array \(4, 5, 3\) object: "),
        (np.full((4, 5, 3), 200.0), r"float64: float pixels run from 200 to 200.*uint8"),
        (np.full((4, 5, 3), -0.5), r"float64: float pixels run from -0.5.*undo the normalisation"),
        (np.full((4, 5, 3), np.nan), r"float64: .*NaN"),
        (np.full((4, 5, 3), np.inf), r"float64: .*infinity"),
    ],
    ids=lambda value: f"{value.shape}{value.dtype}" if isinstance(value, np.ndarray) else "",
)
def test_array_that_could_mean_two_things_is_refused_with_the_repair(
    array: NDArray[Any], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        image.load(array)


@pytest.mark.parametrize(
    "source", [None, 3, [[1, 2], [3, 4]], object()], ids=lambda source: type(source).__name__
)
def test_other_objects_are_refused_by_name(source: object) -> None:
    with pytest.raises(ImageError, match=r"^(None|object of type \w+): not a picture.*pass a path"):
        image.load(source)


def test_missing_file_directory_and_empty_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for path, message in [
        (tmp_path / "gone.jpg", r"gone\.jpg: there is no such file"),
        (tmp_path, "it is a directory"),
        (tmp_path / "empty.jpg", r"empty\.jpg: it is empty"),
        ("bad\0name.jpg", "the file cannot be opened"),
        ("", "empty path"),
    ]:
        with pytest.raises(ImageError, match=message):
            image.load(path)
    with pytest.raises(ImageError, match=r"^bytes \(0 B\): it is empty"):
        image.load(b"")


def test_file_object_at_its_end_or_in_text_mode_says_so(tmp_path: Path) -> None:
    stream = io.BytesIO()
    photo().save(stream, "PNG")
    with pytest.raises(ImageError, match=r"^file object BytesIO: .*\.seek\(0\)"):
        image.load(stream)
    (tmp_path / "a.txt").write_text("hello")
    with (
        (tmp_path / "a.txt").open() as text,
        pytest.raises(ImageError, match=r"^file .*a\.txt: .*binary mode"),
    ):
        image.load(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x93NUMPY\x01\0", r"numpy\.load"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "pillow-heif"),
        (b"\0\0\0\x18ftypisom" + bytes(20), "video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"hello", "not a picture"),
        (b"\0", "not a picture"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_other_files_are_recognised(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"photo\.jpg: not a picture.*{message}|photo\.jpg: {message}"):
        image.load(tmp_path / "photo.jpg")


CUT = {
    "JPEG": lambda: encoded(photo(), "JPEG"),
    "progressive JPEG": lambda: encoded(photo(), "JPEG", progressive=True),
    "PNG": PNGS["RGB"],
    "WebP": OTHERS["WebP"],
    "GIF": lambda: encoded(indexed(), "GIF"),
    "BMP": OTHERS["BMP"],
    "PPM": OTHERS["PPM"],
    "TIFF": OTHERS["TIFF"],
    "TIFF, LZW": OTHERS["TIFF, LZW"],
    "JPEG 2000": OTHERS["JPEG 2000"],
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, -40])
def test_truncated_file_is_an_error_and_never_a_grey_filled_picture(
    kind: str, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = CUT[kind]()
    (tmp_path / "cut.bin").write_bytes(content[: int(len(content) * kept) if kept > 0 else int(kept)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            ImageError, match=r"cut\.bin: the \w+ picture is damaged or truncated \(.+\); get a"
        ):
            image.load(tmp_path / "cut.bin")
    assert capfd.readouterr() == ("", "")


def test_pil_image_of_a_truncated_or_closed_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(CUT["JPEG"]()[:-40])
    with Image.open(tmp_path / "cut.jpg") as picture:
        pass
    for source in (picture, Image.open(io.BytesIO(CUT["JPEG"]()[:-40]))):
        with pytest.raises(ImageError, match=r"^PIL image \(45, 61\) RGB.*damaged or truncated"):
            image.load(source)


def test_decompression_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(encoded(photo(), "BMP"))
    bomb[18:26] = (20_000).to_bytes(4, "little") + (20_001).to_bytes(4, "little")
    with pytest.raises(ImageError, match=r"^bytes .* 20000 x 20001 .*humanparse\.image\.MAX_PIXELS"):
        image.load(bytes(bomb))
    monkeypatch.setattr(image, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    for source in (encoded(photo(), "JPEG"), photo()):
        with pytest.raises(ImageError, match="61 x 45"):
            image.load(source)


def test_limit_of_pillow_neither_holds_nor_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(photo(), "JPEG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image.load(content).shape == (HEIGHT, WIDTH, 3)


def test_palette_with_alpha_does_not_warn() -> None:
    content = PNGS["palette with alpha"]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.load(content)


# --- the web ------------------------------------------------------------------------------------------------


class Pictures(http.server.BaseHTTPRequestHandler):
    """Serves one photo, and fails in every way that servers fail."""

    agents: list[str | None] = []  # noqa: RUF012, one server for the whole module

    def do_GET(self) -> None:
        self.agents.append(self.headers["User-Agent"])
        content = encoded(photo(), "PNG")
        place = self.path.partition("?")[0]
        if place == "/moved":
            return self.answer(302, b"", Location="/photo.png")
        if place == "/moved-to-file":
            return self.answer(302, b"", Location="file:///etc/hostname")
        if place == "/moved-to-ftp":
            return self.answer(302, b"", Location="ftp://127.0.0.1/a.png")
        if place == "/gone.png":
            return self.answer(404, b"no")
        if place == "/page":
            return self.answer(200, b"<html>sign in</html>", **{"Content-Type": "text/html"})
        if place == "/cut.png":
            return self.answer(200, content[:99], **{"Content-Length": str(len(content))})
        if place == "/declared-huge.png":
            return self.answer(200, content, **{"Content-Length": "999999999999"})
        if place == "/silent.png":
            time.sleep(0.6)
            return None
        if place == "/drip.png":
            return self.drip(content)
        if place == "/nonsense":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return None
        return (
            self.answer(200, content)
            if place in ("/photo.png", "/gr%C3%BCn%20a.png")
            else self.answer(500, b"")
        )

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self, content: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for byte in content[:40]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "place", ["/photo.png", "/photo.png?size=1&x=%20", "/moved", "/grün a.png", "/gr%C3%BCn%20a.png"]
)
def test_url_is_downloaded(site: str, place: str) -> None:
    np.testing.assert_array_equal(image.load(site + place), np.asarray(photo()))
    assert Pictures.agents[-1] == "humanparse (Python urllib)"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/gone.png", "404 Not Found"),
        ("/broken", "500"),
        ("/page", "web page"),
        ("/cut.png", "the connection ended after 99 of"),
        ("/declared-huge.png", "MAX_BYTES"),
        ("/nonsense", "the download failed"),
        ("/moved-to-file", "not allowed|the download failed"),
        ("/moved-to-ftp", "ftp"),
    ],
)
def test_failed_download_names_the_url_and_the_reason(site: str, place: str, message: str) -> None:
    with pytest.raises(ImageError, match=f"^{site}{place}: .*({message})"):
        image.load(site + place)


def test_silent_server_is_given_up(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "TIMEOUT", 0.15)
    with pytest.raises(ImageError, match=r"/silent\.png: .*silent for 0\.15 s"):
        image.load(f"{site}/silent.png")


def test_dripping_server_is_given_up(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_SECONDS", 0.15)
    with pytest.raises(ImageError, match=r"/drip\.png: .*longer than 0\.15 s"):
        image.load(f"{site}/drip.png")


def test_answer_without_a_length_is_cut_at_the_limit(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_BYTES", 5)
    with pytest.raises(ImageError, match=r"/drip\.png: the answer is larger than 5 bytes"):
        image.load(f"{site}/drip.png")


def test_refused_connection_names_the_url() -> None:
    with pytest.raises(ImageError, match=r"^http://127\.0\.0\.1:9/a\.png: the download failed: "):
        image.load("http://127.0.0.1:9/a.png")


@pytest.mark.parametrize(
    ("url", "repair"),
    [
        ("file:///etc/hostname", "pass the path itself"),
        ("FILE:///etc/hostname", "pass the path itself"),
        ("s3://bucket/a.jpg", "download the file"),
        ("data:image/png;base64,AAAA", "base64"),
    ],
)
def test_only_http_addresses_are_opened(url: str, repair: str) -> None:
    with pytest.raises(ImageError, match=f"^{url}: only http and https.*{repair}"):
        image.load(url)


# --- names, imports -----------------------------------------------------------------------------------------


def test_describe_names_an_input_shortly(tmp_path: Path) -> None:
    photo().save(tmp_path / "a.png")
    for source, expected in [
        ("photo.jpg", "photo.jpg"),
        (Path("in") / "photo.jpg", str(Path("in") / "photo.jpg")),
        ("https://example.org/a.jpg", "https://example.org/a.jpg"),
        (b"12345", "bytes (5 B)"),
        (memoryview(np.zeros((2, 3), np.uint16)), "memoryview (12 B)"),
        (np.zeros((480, 640, 3), np.uint8), "array (480, 640, 3) uint8"),
        (photo(), "PIL image (45, 61) RGB"),
        (io.BytesIO(b""), "file object BytesIO"),
        (None, "None"),
        ([1], "object of type list"),
    ]:
        assert image.describe(source) == expected
    with Image.open(tmp_path / "a.png") as picture, (tmp_path / "a.png").open("rb") as file:
        assert image.describe(picture) == f"PIL image (45, 61) RGB from {tmp_path / 'a.png'}"
        assert image.describe(file) == f"file {tmp_path / 'a.png'}"
    assert len(image.describe("x" * 100_000)) < 250


def test_importing_and_using_it_imports_neither_torch_nor_cv2() -> None:
    program = (
        "import sys, numpy as np, humanparse.image as image; image.load(np.zeros((2, 2), np.uint8));"
        "sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_pixels_are_counted_from_the_header_alone_and_errors_tell_kinds_apart() -> None:
    buffer = io.BytesIO()
    Image.new("L", (300, 200)).save(buffer, format="PNG")
    content = buffer.getvalue()
    assert decode.pixel_count(content[:60], "x") == 300 * 200  # the rest is cut off
    with pytest.raises(ImageKindError, match="x: not a picture"):
        decode.pixel_count(b"%PDF-1.4", "x")
    with pytest.raises(ImageSizeError, match="300 x 200"):
        decode.stream_to_rgb(io.BytesIO(content), "x", 300 * 200 - 1)
    for damaged in (b"", content[:20]):
        with pytest.raises(ImageError) as caught:
            decode.pixel_count(damaged, "x")
        assert not isinstance(caught.value, ImageKindError | ImageSizeError)


def test_floats_that_resizing_made_overshoot_are_cut_off_and_messages_say_what_they_saw() -> None:
    ramp = np.linspace(0, 1, HEIGHT * WIDTH * 3, dtype=np.float32).reshape(HEIGHT, WIDTH, 3)
    expected = image.load(ramp)
    for pixels in (ramp * np.float32(1.0001), ramp - np.float32(1e-4)):
        assert np.abs(image.load(pixels).astype(int) - expected).max() <= 1
    with pytest.raises(ImageError, match=r"from 0 to 1\.01, not from 0 to 1; .*pixels\.clip\(0, 1\)"):
        image.load(ramp * np.float32(1.01))
    with pytest.raises(ImageError) as raised:
        image.load(ramp * np.float32(1.003))
    assert "from 0 to 1, not" not in str(raised.value)
