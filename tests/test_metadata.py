"""Damaged and oversized metadata costs no picture, in any container; OpenCV says which pixels are right."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, features

from humanparse import decode, image, metadata
from humanparse.errors import ImageError, ImageSizeError

Segment = tuple[Any, bytes]
"""Kind and payload of a part of a file."""

ROUNDS = 150
HEIGHT, WIDTH = 23, 31
BIG = b"Comment\0\0" + zlib.compress(bytes(3_000_000))  # three times what Pillow takes
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def photo() -> Image.Image:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(x / 7 + c) * np.cos(y / (5 + c)) for c in range(3)]
    return Image.fromarray(np.uint8(np.stack(waves, axis=2) * 120 + 128), "RGB")


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block.update({0x010F: "a maker of cameras", 0x0112: orientation, 0x011A: 72.0, 0x0131: "software"})
    return block.tobytes()


def by_opencv(content: bytes) -> NDArray[np.uint8] | None:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else np.asarray(pixels[..., ::-1], np.uint8)


def damaged(payload: bytes, chance: random.Random) -> bytes:
    """Shorter, longer, other bytes, or nothing."""
    kind, at = chance.randrange(5), chance.randrange(len(payload) + 1)
    if kind == 0:
        return payload[:at]
    if kind == 1:
        return payload[:at] + chance.randbytes(5) + payload[at:]
    if kind == 2:
        return chance.randbytes(chance.randrange(40))
    if kind == 3:
        return b""
    changed = bytearray(payload)
    for _ in range(5 if payload else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def same_pixels(contents: Iterator[bytes], expected: NDArray[np.uint8]) -> None:
    """Each is read as what it was before the damage, and as OpenCV reads it, if it does."""
    read = 0
    for content in contents:
        oracle = by_opencv(content)
        pixels = image.load(content)
        np.testing.assert_array_equal(pixels, expected)
        if oracle is not None:
            np.testing.assert_array_equal(pixels, oracle)
            read += 1
    assert read > ROUNDS // 2 or by_opencv(encoded(photo(), "GIF")) is None  # OpenCV 4.11 reads no GIF


# --- PNG ----------------------------------------------------------------------------------------------------

PNG_MARK = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, payload: bytes, crc: int | None = None) -> bytes:
    right = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", right if crc is None else crc)


def chunks(content: bytes) -> list[Segment]:
    at, found = 8, []
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png_with(kind: bytes, payload: bytes, *, at: int = 1, crc: int | None = None, form: str = "RGB") -> bytes:
    picture = photo().quantize(50) if form == "P" else photo().convert(form)
    parts = [chunk(*one) for one in chunks(encoded(picture, "PNG"))]
    return PNG_MARK + b"".join([*parts[:at], chunk(kind, payload, crc), *parts[at:]])


ANCILLARY = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", *range(31270, 31278)),
    b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
    b"sRGB": b"\0",
    b"iCCP": b"icc\0\0" + zlib.compress(ICC),
    b"tEXt": b"Comment\0hello",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"hello" * 9),
    b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + XMP,
    b"tIME": struct.pack(">HBBBBB", 2020, 1, 1, 0, 0, 0),
    b"bKGD": struct.pack(">3H", 1, 2, 3),
    b"sBIT": b"\5\6\5",
    b"eXIf": exif()[6:],
    b"sPLT": b"name\0\10" + bytes(12),
    b"tRNS": struct.pack(">3H", 1, 2, 3),
    b"fcTL": struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0),
    b"prVt": b"of a program",
}


@pytest.mark.parametrize("form", ["RGB", "RGBA", "L", "P"])
def test_png_with_damaged_chunks_equals_cv2(form: str) -> None:
    chance = random.Random(1)

    def contents() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            kind = chance.choice(list(ANCILLARY))
            crc = chance.choice([None, 12345])
            yield png_with(
                kind, damaged(ANCILLARY[kind], chance), at=chance.choice([1, -1]), crc=crc, form=form
            )

    plain = photo().quantize(50) if form == "P" else photo().convert(form)
    same_pixels(contents(), np.asarray(plain.convert("RGB")))


@pytest.mark.parametrize("at", [1, -1], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize(
    ("kind", "payload", "crc"),
    [
        (b"zTXt", BIG, None),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(3_000_000)), None),
        (b"iCCP", BIG, None),
        (b"tEXt", b"Comment\0" + b"x" * 68_000_000, None),
        (b"tEXt", b"Comment\0hello", 12345),
        (b"gAMA", b"\0\0", None),
        (b"pHYs", b"\0\0", None),
        (b"cHRM", bytes(30), None),
        (b"sRGB", b"", None),
    ],
    ids=lambda value: str(value[:4] if isinstance(value, bytes) else value),
)
def test_png_that_pillow_refuses_for_one_chunk_is_read(
    kind: bytes, payload: bytes, crc: int | None, at: int
) -> None:
    content = png_with(kind, payload, at=at, crc=crc)
    expected = by_opencv(content)
    assert expected is not None
    np.testing.assert_array_equal(image.load(content), expected)
    assert decode.pixel_count(content, "photo.png") == HEIGHT * WIDTH


@pytest.mark.parametrize("form", ["RGB", "P"])
@pytest.mark.parametrize("keyword", ["interlace", "bbox", "transparency", "exif", "icc_profile", "loop"])
def test_a_text_with_the_name_of_a_property_of_pillow_is_only_a_text(keyword: str, form: str) -> None:
    content = png_with(b"tEXt", keyword.encode() + b"\0" + exif(6), form=form)
    np.testing.assert_array_equal(
        image.load(content), image.load(png_with(b"tEXt", b"other\0text", form=form))
    )


def test_animated_png_with_a_damaged_later_frame_gives_the_first() -> None:
    content = encoded(photo(), "PNG", save_all=True, append_images=[photo().rotate(180)])
    parts = chunks(content)
    broken = [(kind, b"" if kind == b"fdAT" else payload) for kind, payload in parts]
    for order in (broken, [part for part in parts if part[0] not in (b"acTL", b"fcTL")]):
        shown = PNG_MARK + b"".join(chunk(*part) for part in order)
        np.testing.assert_array_equal(image.load(shown), np.asarray(photo()))


# --- JPEG ---------------------------------------------------------------------------------------------------


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


APPLICATION = {
    "JFIF": (0xE0, b"JFIF\0\1\1\1\0H\0H\0\0"),
    "Exif": (0xE1, exif()),
    "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    "ICC": (0xE2, b"ICC_PROFILE\0\1\1" + ICC),
    "FlashPix": (0xE2, b"FPXR\0" + bytes(10)),
    "MPF": (0xE2, b"MPF\0II*\0\10\0\0\0\3\0" + bytes(40)),
    "Photoshop": (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x10\0\x48\0\0\0\1\0\1\0\x48\0\0\0\1\0\1"),
    "Adobe": (0xEE, b"Adobe\0d\0\0\0\0"),
    "JUMBF": (0xEB, b"JP\0\1" + bytes(30)),
    "comment": (0xFE, b"hello"),
}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"keep_rgb": True}, {"grey": True}], ids=str)
def test_jpeg_with_damaged_segments_equals_cv2(options: dict[str, bool]) -> None:
    chance = random.Random(2)
    picture = photo().convert("L") if options.pop("grey", False) else photo()
    content = encoded(picture, "JPEG", **options)

    def contents() -> Iterator[bytes]:
        for name, (marker, payload) in APPLICATION.items():
            for length in range(min(len(payload), 20)):
                yield content[:2] + segment(marker, payload[:length]) + content[2:]
            for _ in range(ROUNDS // len(APPLICATION)):
                broken = damaged(payload, chance)
                if name not in ("Adobe", "JFIF") or len(broken) < 12:  # which say what the samples mean
                    yield content[:2] + segment(marker, broken) + content[2:]

    same_pixels(contents(), image.load(content))


def test_stray_bytes_between_jpeg_segments_are_skipped_as_cv2_does() -> None:
    content = encoded(photo(), "JPEG")
    tables = content.index(b"\xff\xdb")
    for stray in (b"\0\1\2", b"\xff\xff\xff", b"\xff\0", segment(0xE5, b"12345678")[:-3] + b"abc"):
        same = content[:tables] + stray + content[tables:]
        np.testing.assert_array_equal(image.load(same), by_opencv(same))


@pytest.mark.parametrize("order", ["big", "little"])
def test_orientation_in_a_damaged_exif_block_is_what_cv2_reads(order: str) -> None:
    chance, content, block = random.Random(3), encoded(photo(), "JPEG"), exif(6)
    if order == "little":
        entries = struct.pack("<HHII", 0x010F, 2, 9, 26) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + b"a camera\0"
    turned = 0
    for _ in range(4 * ROUNDS):
        shown = content[:2] + segment(0xE1, damaged(block, chance)) + content[2:]
        expected = by_opencv(shown)
        assert expected is not None
        np.testing.assert_array_equal(image.load(shown), expected)
        turned += expected.shape[0] == WIDTH
    assert ROUNDS // 5 < turned < 3 * ROUNDS


# --- the others ---------------------------------------------------------------------------------------------


def riff(parts: list[Segment]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def riff_parts(content: bytes) -> list[Segment]:
    at, found = 12, []
    while at < len(content):
        (length,) = struct.unpack("<I", content[at + 4 : at + 8])
        found.append((content[at : at + 4], content[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"save_all": True, "append_images": [photo()]}], ids=len
)
def test_webp_with_damaged_metadata_equals_cv2(options: dict[str, Any]) -> None:
    chance = random.Random(4)
    content = encoded(photo(), "WEBP", exif=exif(), icc_profile=ICC, xmp=XMP, **options)
    parts = riff_parts(content)
    whose = [place for place, (kind, _) in enumerate(parts) if kind in (b"EXIF", b"ICCP", b"XMP ")]

    def contents() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            changed, place = list(parts), chance.choice(whose)
            changed[place] = (parts[place][0], damaged(parts[place][1], chance))
            broken = bytearray(riff(changed))
            if chance.random() < 0.2:
                broken[20] ^= chance.choice([0x01, 0x04, 0x08, 0x20, 0x40])  # flags of what is there
            if chance.random() < 0.2:
                broken[4:8] = struct.pack("<I", len(broken) + chance.randrange(100))
            yield bytes(broken)

    same_pixels(contents(), image.load(content))


BLOCKS = {
    "comment": b"\xfe\5hello\0",
    "loop": b"\xff\x0bNETSCAPE2.0\3\1\0\0\0",
    "XMP": b"\xff\x0bXMP DataXMP" + XMP + b"\1" + bytes(range(255, 0, -1)) + b"\0\0",
    "plain text": b"\1\x0c" + bytes(12) + b"\5hello\0",
    "unknown": b"\x77\5hello\0",
}


def test_gif_with_damaged_blocks_equals_cv2() -> None:
    chance = random.Random(5)
    content = encoded(photo().quantize(100), "GIF")
    start = 13 + (3 << (content[10] & 7) + 1)

    def contents() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            block = BLOCKS[chance.choice(list(BLOCKS))]
            pieces = damaged(block[1:-1], chance).replace(b"\0", b"\1")
            split = b"".join(
                bytes([len(part)]) + part
                for part in (pieces[at : at + 99] for at in range(0, len(pieces), 99))
            )
            yield content[:start] + b"!" + block[:1] + split + b"\0" + content[start:]

    same_pixels(contents(), np.asarray(photo().quantize(100).convert("RGB")))


def test_bmp_with_damaged_metadata_equals_cv2() -> None:
    chance = random.Random(6)
    content = encoded(photo(), "BMP")
    pixels = content[54:]

    def contents() -> Iterator[bytes]:
        for size in (40, 108, 124):
            for _ in range(ROUNDS // 3):
                header = bytearray(struct.pack("<I", size) + content[18:54] + chance.randbytes(size - 40))
                for at in (20, 24, 28, 36):  # bytes of pixels, resolution, important colours
                    header[at : at + 4] = chance.choice([bytes(4), chance.randbytes(4), b"\xff" * 4])
                about = struct.pack(
                    "<IHHI", chance.choice([0, 99, 1 << 31]), *chance.choices([0, 7], k=2), 14 + size
                )
                yield b"BM" + about + bytes(header) + pixels + chance.choice([b"", ICC])

    same_pixels(contents(), np.asarray(photo()))


def tiff_entries() -> list[tuple[int, int, int, bytes]]:
    """Tag, type, count and value of what says nothing about pixels."""
    texts = [
        (tag, 2, b"some words of text\0") for tag in (269, 270, 271, 272, 305, 306, 315, 333, 42112, 65000)
    ]
    blocks = [(700, 1, XMP), (33723, 7, bytes(20)), (34377, 1, b"8BIM" + bytes(40)), (34675, 7, ICC)]
    found = [(tag, kind, len(value), value) for tag, kind, value in (*texts, *blocks)]
    found += [(tag, 5, 1, struct.pack("<II", 72, 1)) for tag in (282, 283, 286, 287)]
    found += [(tag, 4, 1, struct.pack("<I", 8)) for tag in (330, 34665, 34853)]
    return sorted([*found, (318, 5, 2, bytes(16)), (33550, 12, 3, bytes(24)), (301, 3, 256, bytes(512))])


def tiff_with(content: bytes, *, broken: int, chance: random.Random) -> bytes:
    """A TIFF whose directory has all sorts of metadata, one entry of them damaged."""
    first = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[first : first + 2])[0]
    kept = [content[first + 2 + 12 * at : first + 14 + 12 * at] for at in range(count)]
    known = {struct.unpack("<H", entry[:2])[0] for entry in kept}
    body = bytearray(content + bytes(len(content) % 2))
    for number, (tag, kind, length, value) in enumerate(tiff_entries()):
        if tag in known:
            continue
        place = struct.pack("<I", len(body)) if len(value) > 4 else value
        body += value + bytes(len(value) % 2) if len(value) > 4 else b""
        entry = bytearray(struct.pack("<HHI", tag, kind, length) + place)
        if number == broken:
            part = chance.choice([slice(2, 4), slice(4, 8), slice(8, 12), slice(2, 12)])
            size = part.stop - part.start
            entry[part] = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
        kept.append(bytes(entry))
    body[4:8] = struct.pack("<I", len(body))
    kept.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    return (
        bytes(body) + struct.pack("<H", len(kept)) + b"".join(kept) + chance.choice([bytes(4), b"\xff" * 4])
    )


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("form", ["RGB", "L", "P"])
def test_tiff_with_damaged_tags_equals_cv2(form: str, compression: str | None) -> None:
    chance = random.Random(7)
    picture = photo().quantize(50) if form == "P" else photo().convert(form)
    if form == "P" and compression == "jpeg":
        picture, form = photo(), "RGB"
    content = encoded(picture, "TIFF", compression=compression)
    count = len(tiff_entries())
    contents = (tiff_with(content, broken=at % count, chance=chance) for at in range(ROUNDS))
    same_pixels(contents, image.load(content))


@pytest.mark.parametrize("options", [{}, {"big_tiff": True}, {"compression": "tiff_lzw"}], ids=str)
def test_orientation_of_tiff_is_taken_in_every_type_that_cv2_takes(options: dict[str, Any]) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    content = encoded(photo(), "TIFF", exif=tag, **options)
    entry = content.index(struct.pack("<HHI", 0x0112, 3, 1))
    turned = 0
    for kind in range(20):
        for value in (0, 1, 6, 9, 1 << 16):
            changed = bytearray(content)
            changed[entry + 2 : entry + 4] = struct.pack("<H", kind)
            at = entry + (12 if options.get("big_tiff") else 8)
            changed[at : at + 4] = struct.pack("<I", value)
            expected = by_opencv(bytes(changed))
            assert expected is not None
            np.testing.assert_array_equal(image.load(bytes(changed)), expected)
            turned += expected.shape[0] == WIDTH
    assert turned >= 6


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow 11.3 and newer read AVIF")


@needs_avif
def test_avif_with_damaged_metadata_keeps_its_pixels() -> None:
    chance = random.Random(8)
    content = encoded(photo(), "AVIF", exif=exif(), icc_profile=ICC, xmp=XMP)
    expected = image.load(encoded(photo(), "AVIF", icc_profile=ICC))
    np.testing.assert_array_equal(expected, by_opencv(content))
    places = [
        (content.index(b"MM\0*") - 4, 60),
        (content.index(XMP), len(XMP)),
        (content.index(ICC), 500),
    ]
    for number in range(ROUNDS):
        at, length = places[number % 3]
        broken = bytearray(content)
        for _ in range(chance.randrange(1, 30)):
            broken[at + chance.randrange(length)] = chance.randrange(256)
        pixels = image.load(bytes(broken))
        np.testing.assert_array_equal(pixels, expected)
        oracle = by_opencv(bytes(broken))
        if oracle is not None:  # OpenCV refuses the picture for its Exif block
            np.testing.assert_array_equal(pixels, oracle)


@needs_avif
def test_avif_stands_upright_by_its_own_property() -> None:
    content = encoded(photo(), "AVIF", exif=exif(6))
    lying = image.load(encoded(photo(), "AVIF"))
    np.testing.assert_array_equal(image.load(content), np.rot90(lying, -1))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def test_jpeg_2000_with_damaged_boxes_equals_cv2() -> None:
    chance = random.Random(9)
    content = encoded(photo(), "JPEG2000")
    header, stream = content.index(b"jp2h") - 4, content.index(b"jp2c") - 4
    inside = content[header + 8 : stream]
    resolution = box(b"resc", struct.pack(">HHHHBB", 72, 1, 72, 1, 0, 0))

    def contents() -> Iterator[bytes]:
        for _ in range(ROUNDS):
            extra = box(b"res ", damaged(resolution, chance))
            about = box(chance.choice([b"uuid", b"xml ", b"abcd"]), damaged(XMP, chance))
            yield content[:header] + box(b"jp2h", inside + extra) + about + content[stream:] + about

    same_pixels(contents(), image.load(content))


# --- what stays as it was -----------------------------------------------------------------------------------


def test_a_picture_that_pil_cannot_finish_for_its_metadata_is_read() -> None:
    for kind, payload in ((b"zTXt", BIG), (b"gAMA", b"")):
        with Image.open(io.BytesIO(png_with(kind, payload, at=-1))) as picture:
            np.testing.assert_array_equal(image.load(picture), np.asarray(photo()))
    told = PngImagePlugin.PngInfo()
    told.add_text("transparency", "none")
    with Image.open(io.BytesIO(encoded(photo().quantize(50), "PNG", pnginfo=told))) as picture:
        np.testing.assert_array_equal(image.load(picture), np.asarray(photo().quantize(50).convert("RGB")))


def test_bombs_are_refused_whatever_their_metadata_is() -> None:
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    content = (
        PNG_MARK
        + huge
        + chunk(b"zTXt", BIG)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageSizeError, match="60000 x 60000"):
        image.load(content)


CUTS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: png_with(b"tEXt", b"Comment\0hello", crc=1),
    "JPEG": lambda: encoded(photo(), "JPEG", exif=exif(), icc_profile=ICC),
    "WebP": lambda: encoded(photo(), "WEBP", lossless=True),
    "GIF": lambda: encoded(photo().quantize(100), "GIF", comment=b"hello"),
    "TIFF": lambda: encoded(photo(), "TIFF", tiffinfo={270: "words"}),
    "JPEG 2000": lambda: encoded(photo(), "JPEG2000"),
}


@pytest.mark.parametrize("kind", CUTS)
def test_a_cut_picture_is_an_error_or_whole_at_every_length(kind: str, tmp_path: Path) -> None:
    content = CUTS[kind]()
    whole, refused = image.load(content), 0
    for length in range(1, len(content), max(1, len(content) // 200)):
        try:
            pixels = image.load(content[:length])
        except ImageError:
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert refused > 150


@pytest.mark.parametrize("kind", CUTS)
def test_a_file_is_read_as_its_bytes_are_large_or_small(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, path = CUTS[kind](), tmp_path / "photo"
    path.write_bytes(content)
    expected = image.load(content)
    for small in (0, 1 << 20):
        monkeypatch.setattr("humanparse.metadata.view._SMALL", small)
        np.testing.assert_array_equal(image.load(path), expected)
        np.testing.assert_array_equal(image.load(content), expected)


def test_a_view_of_a_file_is_read_in_any_order() -> None:
    file = io.BytesIO(bytes(range(100)))
    pixels = metadata.Pixels(((10, 20), b"", b"abc", (50, 60), (60, 60), (90, 100)))
    expected = bytes(range(10, 20)) + b"abc" + bytes(range(50, 60)) + bytes(range(90, 100))
    for small in (0, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("humanparse.metadata.view._SMALL", small)
            view = pixels.open(file)
        assert view.read() == expected and view.read() == b""
        for at in (5, 0, 12, 33, 40):
            assert view.seek(at) == at and view.read(4) == expected[at : at + 4]
        assert view.seek(-3, io.SEEK_END) == 30 and view.read() == expected[-3:]


@pytest.mark.parametrize(
    "flood",
    [
        encoded(photo(), "JPEG")[:2] + (segment(0xDB, b"") + segment(0xFE, b"")) * 100_000,
        PNG_MARK + (chunk(b"ABCD", b"") + chunk(b"abCD", b"")) * 40_000,
        b"RIFF\xff\xff\xff\x00WEBP" + (b"ALPH" + bytes(4) + b"JUNK" + bytes(4)) * 50_000,
    ],
    ids=["JPEG", "PNG", "WebP"],
)
def test_a_flood_of_tiny_parts_takes_no_memory(flood: bytes) -> None:
    pixels = metadata.pixels_of(io.BytesIO(flood))
    assert pixels is not None and len(pixels.pieces) <= 10_001
    with pytest.raises(ImageError, match=r"damaged or truncated|not a picture"):
        image.load(flood)
