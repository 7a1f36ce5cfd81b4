"""What is handed over to be parsed later is parsed as it was then, whatever its owner does with it."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageOps, ImageSequence

from humanparse import ImageError, Parser, ParserOptions, Parsing, image
from humanparse.bulk.items import Content, JournalRow, Listing
from humanparse.bulk.job import Job, RunOptions, run
from humanparse.bulk.labeller import Labeller
from humanparse.bulk.settings import Settings
from humanparse.pipelines import batches, snapshots
from humanparse.pipelines.pipeline import Pipeline
from humanparse.pipelines.snapshots import snapshot

Picture = npt.NDArray[np.uint8]
PHOTO = image.load(Path(__file__).parents[1] / "examples" / "astronaut.png")[:200, 120:320]
FRAMES = [np.ascontiguousarray(np.roll(PHOTO, 20 * shift, 1)) for shift in range(4)]


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


def encoded(frame: Picture, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, form, **options)
    return file.getvalue()


def animation(form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    first, *rest = [Image.fromarray(frame) for frame in FRAMES]
    first.save(file, form, save_all=True, append_images=rest, duration=40, **options)
    return file.getvalue()


def reused_array() -> Iterator[Picture]:
    buffer = np.empty_like(PHOTO)
    for frame in FRAMES:
        buffer[:] = frame
        yield buffer


def view_of_a_larger_array() -> Iterator[Picture]:
    canvas = np.zeros((220, 230, 3), np.uint8)
    for frame in FRAMES:
        canvas[10:210, 20:220] = frame
        yield canvas[10:210, 20:220]


def reused_float_array() -> Iterator[npt.NDArray[np.float32]]:
    buffer = np.empty(PHOTO.shape, np.float32)
    for frame in FRAMES:
        np.divide(frame, 255, out=buffer)
        yield buffer


def reused_tensor() -> Iterator[torch.Tensor]:
    buffer = torch.empty((3, 200, 200), dtype=torch.uint8)
    for frame in FRAMES:
        buffer.copy_(torch.from_numpy(frame).permute(2, 0, 1))
        yield buffer


def reused_float_tensor_with_gradient() -> Iterator[torch.Tensor]:
    buffer = torch.zeros((3, 200, 200), requires_grad=True)
    for frame in FRAMES:
        with torch.no_grad():
            buffer.copy_(torch.from_numpy(frame).permute(2, 0, 1) / 255)
        yield buffer


class Sensor:
    """Turns into an array of its own."""

    def __init__(self) -> None:
        self.pixels = np.empty_like(PHOTO)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Picture:
        return self.pixels


def reused_object_with_an_array() -> Iterator[Sensor]:
    sensor = Sensor()
    for frame in FRAMES:
        sensor.pixels[:] = frame
        yield sensor


def reused_bytearray() -> Iterator[bytearray]:
    content = bytearray()
    for frame in FRAMES:
        content[:] = encoded(frame)
        yield content


def reused_memory() -> Iterator[memoryview]:
    files = [encoded(frame, "BMP") for frame in FRAMES]
    memory = bytearray(len(files[0]))
    for file in files:
        memory[:] = file
        yield memoryview(memory)


def reused_picture() -> Iterator[Image.Image]:
    picture = Image.new("RGB", (200, 200))
    for frame in FRAMES:
        picture.paste(Image.fromarray(frame))
        yield picture


def frames_of(form: str, **options: Any) -> Callable[[], Iterator[Image.Image]]:
    def moved_on() -> Iterator[Image.Image]:
        with Image.open(io.BytesIO(animation(form, **options))) as picture:
            yield from ImageSequence.Iterator(picture)

    return moved_on


def opened(form: str, **options: Any) -> Callable[[], Iterator[Image.Image]]:
    """Pictures that are not decoded when they are handed over, and closed afterwards."""

    def closed() -> Iterator[Image.Image]:
        for frame in FRAMES:
            with io.BytesIO(encoded(frame, form, **options)) as file, Image.open(file) as picture:
                yield picture

    return closed


def drafted() -> Iterator[Image.Image]:
    for frame in FRAMES:
        large = np.repeat(np.repeat(frame, 2, 0), 2, 1)
        with Image.open(io.BytesIO(encoded(large, "JPEG", quality=95))) as picture:
            picture.draft("RGB", (200, 200))
            yield picture


def edited() -> Iterator[Image.Image]:
    """Turned pictures whose tag is deleted while they are not decoded yet."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for frame in FRAMES:
        with Image.open(io.BytesIO(encoded(frame, "JPEG", quality=95, exif=turned))) as picture:
            del picture.getexif()[0x0112]
            yield picture


def reused_file() -> Iterator[io.BytesIO]:
    with io.BytesIO() as file:
        for frame in FRAMES:
            file.seek(0)
            file.truncate()
            file.write(encoded(frame))
            file.seek(0)
            yield file


OWNERS: dict[str, Callable[[], Iterator[Any]]] = {
    "array": reused_array,
    "view": view_of_a_larger_array,
    "float array": reused_float_array,
    "tensor": reused_tensor,
    "float tensor": reused_float_tensor_with_gradient,
    "object with __array__": reused_object_with_an_array,
    "bytearray": reused_bytearray,
    "memoryview": reused_memory,
    "PIL image": reused_picture,
    "GIF": frames_of("GIF"),
    "animated WebP": frames_of("WEBP", lossless=True),
    "APNG": frames_of("PNG"),
    "TIFF of several pages": frames_of("TIFF"),
    "opened PNG": opened("PNG"),
    "opened JPEG": opened("JPEG", quality=95),
    "opened WebP": opened("WEBP", lossless=True),
    "opened TIFF": opened("TIFF"),
    "opened BMP": opened("BMP"),
    "drafted JPEG": drafted,
    "JPEG without its tag": edited,
    "file": reused_file,
}


_PARSED: dict[bytes, Parsing] = {}


def parsed(parser: Parser, pixels: Picture) -> Parsing:
    """What is found in pixels; kept, because most sources show the same ones."""
    content = pixels.tobytes()
    if content not in _PARSED:
        _PARSED[content] = parser.predict(pixels)
    return _PARSED[content]


@pytest.mark.parametrize("kind", OWNERS)
def test_sources_that_change_once_the_next_is_asked_for_give_each_its_own_labels(
    parser: Parser, kind: str
) -> None:
    expected = [parsed(parser, image.load(source)) for source in OWNERS[kind]()]
    assert len({one.labels.tobytes() for one in expected}) == len(FRAMES)
    found = list(parser.predict_many(OWNERS[kind](), batch_size=2))
    for ours, alone in zip(found, expected, strict=True):
        assert (ours.labels == alone.labels).mean() > 0.9999  # two in a batch round otherwise


@pytest.mark.parametrize("kind", OWNERS)
def test_a_snapshot_has_the_pixels_of_its_source_though_that_changes(kind: str) -> None:
    expected, held = [], []
    for source in OWNERS[kind]():
        held.append(snapshot(source))
        source = source if not hasattr(source, "read") else io.BytesIO(source.getvalue())
        expected.append(image.load(source))
    for one, pixels in zip(held, expected, strict=True):
        assert np.array_equal(one.load(), pixels)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_snapshots_stand_as_upright_as_their_pictures(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(PHOTO[:120], form, exif=exif)
    upright = image.load(content)

    def picture() -> Image.Image:
        return Image.open(io.BytesIO(content))

    decoded = picture()
    decoded.load()
    for one in (picture(), decoded):
        assert np.array_equal(snapshot(one).load(), upright)
    turned = ImageOps.exif_transpose(picture())
    assert turned is not None
    ImageOps.exif_transpose(decoded, in_place=True)
    for one in (turned, decoded):
        assert np.array_equal(image.load(one), upright) and np.array_equal(snapshot(one).load(), upright)


def test_opened_jpegs_and_pngs_are_decoded_by_the_reading_threads(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = []
    to_rgb = image.decode._to_rgb

    def noted(*arguments: Any) -> Any:
        decoding.append(threading.current_thread())
        return to_rgb(*arguments)

    monkeypatch.setattr(image.decode, "_to_rgb", noted)
    sources = [
        Image.open(io.BytesIO(encoded(frame, form))) for frame in FRAMES[:2] for form in ("JPEG", "PNG")
    ]
    assert len(list(parser.predict_many(sources))) == 4
    assert len(decoding) == 4 and threading.main_thread() not in decoding
    assert all(source.getim() is not None for source in sources)  # they can still be decoded


def test_pixels_are_copied_once_and_pixels_of_ones_own_not_at_all() -> None:
    held = snapshot(PHOTO)
    assert np.shares_memory(held.load(), held.load()) and not np.shares_memory(held.load(), PHOTO)
    own = snapshots.unchanging(FRAMES[0])
    assert snapshot(own) is own and np.shares_memory(own.load(), FRAMES[0])


def test_sources_are_snapshots_no_earlier_than_they_are_needed(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield PHOTO

    parsings = parser.predict_many(endless(), batch_size=2)
    for given in range(1, 4):
        next(parsings)
        assert taken <= given + 2 * 2 + 1
    parsings.close()  # type: ignore[attr-defined]


def test_what_is_wrong_with_a_source_is_said_in_its_place(parser: Parser, tmp_path: Path) -> None:
    cut = encoded(PHOTO, "JPEG")[:3000]
    text = tmp_path / "text.txt"
    text.write_text("no bytes")
    with io.BytesIO() as empty, text.open() as words, Image.open(io.BytesIO(encoded(PHOTO))) as closed:
        closed.close()
        sources = [
            Image.open(io.BytesIO(cut)),
            PHOTO,
            empty,
            words,
            closed,
            np.zeros((2, 3, 4, 5)),
            None,
            PHOTO,
        ]
        found = list(parser.predict_many(sources, on_error="yield"))
    assert [type(one) for one in found] == [ImageError, Parsing, *[ImageError] * 5, Parsing]
    reasons = [str(one) for one in found if isinstance(one, ImageError)]
    for reason, words_of_it in zip(
        reasons, ("truncated", "empty", "not bytes", "", "batch", "None"), strict=True
    ):
        assert words_of_it in reason
    assert "text.txt" in reasons[2]


def test_models_that_take_photos_one_by_one_take_snapshots_too(parser: Parser) -> None:
    class Alone(Pipeline):
        device = parser.device

        def start(
            self, batch: Sequence[Any], keep_logits: bool = False, confidence: bool = False
        ) -> Callable[[], list[Parsing]]:
            assert len(batch) == 1
            return lambda: parser.pipeline.parse_batch(batch, keep_logits, confidence)

    expected = [parser.predict(frame) for frame in FRAMES]
    assert list(batches.parse_many(Alone(), reused_array(), 3, False, False)) == expected


class Camera:
    """Inputs of a run that come from Python, and from one buffer."""

    in_order = True

    def __init__(self) -> None:
        self.buffer = np.empty_like(PHOTO)

    def listing(self) -> list[Listing]:
        return [Listing(f"frame {number}", f"frame{number}", number) for number in range(len(FRAMES))]

    def left_out(self) -> Counter[str]:
        return Counter()

    def photo(self, found: Listing) -> str:
        return found.place

    def read(self, found: Listing) -> Content:
        self.buffer[:] = FRAMES[found.start]
        return Content(self.buffer)


def test_a_run_over_inputs_from_one_buffer_labels_each(parser: Parser, tmp_path: Path) -> None:
    job = Job(Camera(), {}, tmp_path, ParserOptions("lite-atr", device="cpu"), Settings(batch=2))
    assert run(job, RunOptions()).counts.done == len(FRAMES)
    for number, frame in enumerate(FRAMES):
        labels = np.asarray(Image.open(tmp_path / f"frame{number}.png"))
        assert (labels == parser.predict(frame).labels).mean() > 0.9999


def test_a_source_in_python_that_gives_no_picture_fails_by_name(parser: Parser, tmp_path: Path) -> None:
    camera = Camera()
    camera.read = lambda found: Content(np.zeros((3, 4, 5, 6), np.uint8))  # type: ignore[method-assign]
    labeller = Labeller(parser, camera, Settings(), tmp_path, tmp_path)
    photo = labeller.read(JournalRow(0, camera.listing()[0]))
    assert photo.content is None and photo.error.startswith("frame 0: an array must be")
