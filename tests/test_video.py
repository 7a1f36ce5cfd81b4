"""Videos: read in order, labelled as photos are, written whole, with their size, times, count and sound."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from command import Run, hear_ctrl_c, runner

from humanparse import (
    FormatError,
    ImageError,
    ModelError,
    Parser,
    Parsing,
    VideoFrame,
    checkpoint,
    image,
    models,
    registry,
)
from humanparse.bulk.video import VideoSource
from humanparse.video.reading import VideoReader
from humanparse.video.writing import VideoFormat, encoding, encoding_labels

PHOTO = image.load(Path(__file__).parents[1] / "examples" / "astronaut.png")
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not on the PATH")
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


def walk(size: tuple[int, int], count: int, noise: float = 8) -> list[Picture]:
    """A person that goes to the right, 2 pixels per frame, in front of a grey wall, in noise."""
    rng = np.random.default_rng(1)
    person = cv2.resize(PHOTO[:, 60:400], (size[1] // 2, size[0]), interpolation=cv2.INTER_AREA)
    frames = []
    for number in range(count):
        frame = np.full((*size, 3), 128, np.float64)
        left = 2 * number % (size[1] // 2)
        frame[:, left : left + person.shape[1]] = person
        frames.append((frame + rng.normal(0, noise, frame.shape)).clip(0, 255).astype(np.uint8))
    return frames


def film(path: Path, frames: list[Picture], rate: float = 12.5) -> Path:
    """Write frames with OpenCV, of an even size."""
    size = frames[0].shape[1::-1]
    kind = "MJPG" if path.suffix == ".avi" else "mp4v"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), rate, size)
    for frame in frames:
        video.write(np.ascontiguousarray(frame[..., ::-1]))
    video.release()
    return path


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def read_by_opencv(path: Path) -> list[Picture]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (found := capture.read())[0]:
        frames.append(found[1][..., ::-1])
    return frames


def frames_in(path: Path) -> list[Picture]:
    reader, frames = VideoReader(path), []
    while (frame := reader.read()) is not None:
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "walk.mp4", walk((128, 160), 24))


def test_a_video_keeps_count_size_and_rate_and_its_labels_are_lossless(
    run: Run, clip: Path, tmp_path: Path, parser: Parser
) -> None:
    done = run("predict", clip, "-o", "out.mp4", "--labels", "labels.mkv")
    assert done.status == 0, done.err
    assert "24 frames parsed" in done.out
    source, copy, labels = (VideoReader(path) for path in (clip, Path("out.mp4"), Path("labels.mkv")))
    assert source.size == copy.size == labels.size == (128, 160)
    assert source.rate == copy.rate == labels.rate == Fraction(25, 2)
    originals, pictures, maps = (frames_in(video.path) for video in (source, copy, labels))
    assert len(originals) == len(pictures) == len(maps) == 24
    for number, frame in enumerate(originals):
        expected = parser.predict(frame)
        assert (maps[number][..., 0] == expected.labels).mean() >= 0.9999
        tinted = np.asarray(expected.overlay(frame)).astype(int)
        assert np.abs(tinted - pictures[number]).mean() < 6
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["labels.mkv", "out.mp4"]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_without_smoothing_each_frame_has_the_labels_of_predict(
    parser: Parser, clip: Path, batch_size: int
) -> None:
    found = list(parser.predict_video(clip, batch_size=batch_size, confidence=True))
    assert [frame.number for frame in found] == list(range(24))
    assert [frame.seconds for frame in found] == pytest.approx([number / 12.5 for number in range(24)])
    for frame, original in zip(found, frames_in(clip), strict=True):
        assert np.array_equal(frame.image, original)
        alone = parser.predict(original, confidence=True)
        if batch_size == 1:
            assert frame.parsing == alone
        assert (frame.parsing.labels == alone.labels).mean() >= 0.9999


def test_every_nth_frame_keeps_its_number_and_the_film_its_length(
    run: Run, clip: Path, parser: Parser
) -> None:
    assert run("predict", clip, "--every", 5, "--labels", "maps", "-o", "short.mp4").status == 0
    names = sorted(path.name for path in Path("maps").iterdir())
    assert names == [f"{number:06d}.png" for number in (0, 5, 10, 15, 20)]
    expected = [frame.parsing for frame in parser.predict_video(clip, every=5)]
    assert [Parsing.load(Path("maps", name)) for name in names] == expected
    short = VideoReader("short.mp4")
    times = [short.seconds for _ in range(5) if short.skip()]
    assert times == pytest.approx([number / 12.5 for number in (0, 5, 10, 15, 20)])
    assert not short.skip() and short.end == pytest.approx(24 / 12.5)


def flicker(frames: list[VideoFrame]) -> float:
    """Share of the person's pixels whose label changes from frame to frame, along their known way."""
    changed = []
    for one, other in pairwise(frames):
        left = 2 * one.number
        before = one.parsing.labels[:, left + 4 : left + 76]
        changed.append((before != other.parsing.labels[:, left + 6 : left + 78]).mean())
    return float(np.mean(changed))


def test_smoothing_lowers_flicker_and_most_along_the_flow(parser: Parser, clip: Path) -> None:
    alone, mean, moved = (
        flicker(list(parser.predict_video(clip, smooth=how))) for how in (None, "exponential", "flow")
    )
    assert moved < mean < alone
    assert moved < 0.6 * alone


@pytest.mark.parametrize("smooth", ["exponential", "flow"])
def test_smoothing_of_strength_0_changes_nothing_and_a_cut_ends_it(
    parser: Parser, tmp_path: Path, smooth: Any
) -> None:
    frames = walk((128, 160), 4, noise=0)
    path = film(tmp_path / "cut.avi", [*(np.zeros_like(frame) for frame in frames), *frames])
    alone = [frame.parsing.labels for frame in parser.predict_video(path)]
    weak = [frame.parsing.labels for frame in parser.predict_video(path, smooth=smooth, strength=0)]
    strong = [frame.parsing.labels for frame in parser.predict_video(path, smooth=smooth, strength=0.95)]
    assert all((one == other).mean() >= 0.9999 for one, other in zip(alone, weak, strict=True))
    assert (strong[4] == alone[4]).mean() >= 0.999


@pytest.mark.parametrize("size", [(97, 131), (96, 131), (97, 130)])
def test_odd_sizes_are_kept(parser: Parser, tmp_path: Path, size: tuple[int, int]) -> None:
    source = tmp_path / "odd.mkv"
    with encoding(source, VideoFormat(size, Fraction(30000, 1001))) as written:
        for number, frame in enumerate(walk(size, 5)):
            written.add(frame, number * 1001 / 30000)
    count = parser.predict_video(source).save(tmp_path / "o.mp4", labels=tmp_path / "l.mkv")
    assert count == 5
    for name in ("o.mp4", "l.mkv"):
        video = VideoReader(tmp_path / name)
        assert (video.size, video.rate) == (size, Fraction(30000, 1001))
        assert len(frames_in(video.path)) == 5


def test_every_label_comes_back_from_a_label_video(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 256, (97, 131), dtype=np.uint8) for _ in range(6)]
    with encoding_labels(
        tmp_path / "l.mkv", VideoFormat((97, 131), Fraction(25)), '{"scheme": "atr"}'
    ) as written:
        for number, labels in enumerate(maps):
            written.add(labels, number / 25)
    expected = [labels[..., None].repeat(3, 2) for labels in maps]
    assert np.array_equal(frames_in(tmp_path / "l.mkv"), expected)
    assert np.array_equal(read_by_opencv(tmp_path / "l.mkv"), expected)
    with av.open(str(tmp_path / "l.mkv")) as video:
        assert video.metadata["HUMANPARSE"] == '{"scheme": "atr"}'
        assert [frame.format.name for frame in video.decode(video=0)] == ["gray"] * 6


@needs_ffmpeg
@pytest.mark.parametrize(
    ("source", "codec", "kept"), [("s.mp4", "aac", "aac"), ("s.mkv", "pcm_s16le", "aac")]
)
def test_sound_is_kept(
    parser: Parser, tmp_path: Path, clip: Path, source: str, codec: str, kept: str
) -> None:
    path = tmp_path / source
    ffmpeg("-i", clip, "-f", "lavfi", "-i", "sine=440:duration=1.9", "-c:v", "copy", "-c:a", codec, path)
    assert parser.predict_video(path).save(tmp_path / "out.mp4") == 24

    def samples(path: Path) -> Picture:
        out = tmp_path / f"{path.stem}.wav"
        ffmpeg("-i", path, "-vn", "-ac", 1, "-ar", 8000, "-f", "s16le", out)
        return np.frombuffer(out.read_bytes(), dtype="<i2").astype(np.float64)

    before, after = samples(path), samples(tmp_path / "out.mp4")
    assert len(after) == pytest.approx(1.9 * 8000, rel=0.05)
    peaks = [np.abs(np.fft.rfft(sound[:8000])).argmax() for sound in (before, after)]
    assert peaks == [440, 440]


@needs_ffmpeg
def test_frames_stand_upright_and_colours_stay(parser: Parser, tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v:0", "rotate=90", tmp_path / "turned.mp4")
    video = parser.predict_video(tmp_path / "turned.mp4")
    assert video.size == (160, 128)
    first = next(video)
    lying = frames_in(clip)[0]
    assert any(np.array_equal(first.image, np.rot90(lying, turns)) for turns in (1, 3))
    video.close()
    parser.predict_video(tmp_path / "turned.mp4").save(tmp_path / "upright.mp4")
    assert VideoReader(tmp_path / "upright.mp4").size == (160, 128)
    for size in ((720, 64), (96, 64)):
        colour = np.full((*size, 3), (192, 48, 80), np.uint8)
        with encoding(tmp_path / "colour.mp4", VideoFormat(size, Fraction(5))) as written:
            written.add(colour, 0)
        # Not through OpenCV: 4.x takes BT.709 for BT.601.
        ffmpeg("-i", tmp_path / "colour.mp4", "-pix_fmt", "rgb24", tmp_path / "colour.png")
        assert np.abs(image.load(tmp_path / "colour.png").astype(int) - colour).max() <= 4


@needs_ffmpeg
def test_a_variable_rate_keeps_count_and_length(parser: Parser, tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "variable.mp4"
    ffmpeg("-i", clip, "-vf", "select='lt(n,8)+not(mod(n,4))'", "-vsync", "vfr", path)
    assert parser.predict_video(path).save(tmp_path / "out.mp4") == 12
    for video in (path, tmp_path / "out.mp4"):
        times = [frame.seconds for frame in parser.predict_video(video)]
        assert times[7:10] == pytest.approx([7 / 12.5, 8 / 12.5, 12 / 12.5])


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_is_cut_short_gives_its_frames_and_then_says_which_is_missing(
    parser: Parser, run: Run, tmp_path: Path, clip: Path, suffix: str
) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    ffmpeg("-i", clip, "-c:v", "mpeg4", "-g", 5, *(["-movflags", "+faststart"] * (suffix == ".mp4")), whole)
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    found = []
    with pytest.raises(ImageError, match=rf"cut{suffix}: frame \d+ cannot be read.*cut short") as raised:
        for frame in parser.predict_video(cut, batch_size=7):
            found.append(frame.number)
    assert found == list(range(len(found))) and 5 < len(found) < 24
    assert f"frame {len(found)} " in str(raised.value)
    done = run("predict", cut, "-o", "out.mp4", "--labels", "maps")
    assert done.status == 1 and "cut short" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [cut.name, whole.name]


def test_what_is_no_video_is_refused_with_what_to_do(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"no video at all" * 100)
    with pytest.raises(ImageError, match=r"text\.mp4: not a readable video"):
        parser.predict_video(tmp_path / "text.mp4")
    content = bytearray(film(tmp_path / "noise.avi", walk((64, 64), 8)).read_bytes())
    start, end = content.index(b"movi") + 4, content.index(b"idx1")
    content[start + 8 : end] = bytes(end - start - 8)
    (tmp_path / "noise.avi").write_bytes(content)
    with pytest.raises(ImageError, match="no frame of this video can be read"):
        next(parser.predict_video(tmp_path / "noise.avi"))
    with pytest.raises(ImageError, match="there is no such file"):
        parser.predict_video(tmp_path / "nowhere.mp4")


def test_options_that_mean_nothing_are_refused(parser: Parser, clip: Path) -> None:
    for options in ({"every": 0}, {"batch_size": 0}, {"smooth": "median"}, {"strength": 0.5}):
        with pytest.raises(ModelError):
            parser.predict_video(clip, **options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="0 to less than 1"):
        parser.predict_video(clip, smooth="flow", strength=1)


def test_targets_that_cannot_be_written_are_refused_before_the_work(
    parser: Parser, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "000000.png").write_bytes(b"of another clip")
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "say what to write"),
        ({"overlay": tmp_path / "out.webm"}, r"suffix must be one of \.mp4"),
        ({"overlay": tmp_path / "nowhere" / "out.mp4"}, "there is no folder"),
        ({"labels": tmp_path / "labels.mp4"}, "lossless"),
        ({"labels": tmp_path / "full"}, "already exists"),
        ({"overlay": clip}, "need different names"),
    ]
    for targets, reason in refused:
        with pytest.raises(FormatError, match=reason):
            parser.predict_video(clip).save(**targets)
    assert (tmp_path / "full" / "000000.png").read_bytes() == b"of another clip"


def test_photos_and_videos_and_their_options_are_told_apart(run: Run, clip: Path, tmp_path: Path) -> None:
    shutil.copy(clip, tmp_path / "a.mp4")
    image_path = Path(__file__).parents[1] / "examples" / "astronaut.png"
    for words, reason in [
        (("a.mp4", image_path), "parse them in two calls"),
        ((image_path, "--every", 2), "are for videos"),
        (("a.mp4", "--json"), "is for photos"),
        (("a.mp4", clip, "-o", "b.mp4"), "name a folder"),
        (("a.mp4", clip, "--labels", "b.mkv"), "one video"),
        (("a.mp4", tmp_path / "a.mp4"), "the same file"),
        (("b.mp4",), "no such file"),
    ]:
        done = run("predict", *words)
        assert done.status == 1 and reason in done.err, done
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert run("predict", "*.mp4", clip, "-q", "--every", 12).out == ""
    assert sorted(path.name for path in Path("parsed").iterdir()) == ["a.mp4", "walk.mp4"]


@pytest.mark.posix
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    film(tmp_path / "long.mp4", walk((128, 160), 600))
    command = [sys.executable, "-m", "humanparse", "predict", "long.mp4", "-o", "out.mp4", "--labels", "maps"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".maps.*/*.png")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_few_frames_are_read_early_and_none_after_the_end(
    parser: Parser, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions: list[int] = []
    read = VideoReader.read

    def watched(self: VideoReader) -> Picture | None:
        positions.append(self.position)
        return read(self)

    monkeypatch.setattr(VideoReader, "read", watched)
    video = parser.predict_video(clip, batch_size=3)
    for frame in video:
        assert max(positions) <= frame.number + 6
        if frame.number == 9:
            break
    video.close()
    stopped = len(positions)
    time.sleep(0.2)
    assert len(positions) == stopped < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("humanparse-video")]


def test_labelling_a_video_reads_the_same_frames_and_lists_a_damaged_one(tmp_path: Path, clip: Path) -> None:
    source = VideoSource(clip, every=7)
    listed = list(source.listing())
    assert [found.start for found in listed] == [0, 7, 14, 21]
    whole = frames_in(clip)
    for found in (listed[1], listed[3], listed[0]):
        assert np.array_equal(source.read(found).pixels, whole[found.start])
    content = film(tmp_path / "whole.avi", whole).read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    source = VideoSource(tmp_path / "cut.avi", every=7)
    *good, bad = source.listing()
    assert all(source.read(found).pixels.shape == (128, 160, 3) for found in good)
    with pytest.raises(ImageError, match=f"frame {bad.start} cannot be read"):
        source.read(bad)


def test_a_model_that_finds_people_takes_frames_one_by_one_and_unsmoothed(tmp_path: Path, clip: Path) -> None:
    spec = registry.get("uniparser-r50-mhpv2")
    torch.manual_seed(0)
    weights = tmp_path / "random.safetensors"
    checkpoint.save(models.build(spec).state_dict(), weights, {})
    several = Parser(spec.name, weights=weights, device="cpu", test_size=(64, 96))
    found = list(several.predict_video(clip, every=12))
    assert [frame.number for frame in found] == [0, 12]
    assert all(frame.parsing == several.predict(frame.image) for frame in found)
    with pytest.raises(ModelError, match="leave smooth out"):
        several.predict_video(clip, smooth="flow")


@pytest.mark.linux
@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    frames = walk((360, 480), 12)
    program = (
        "import resource, sys\nfrom humanparse import Parser\n"
        "video = Parser(device='cpu').predict_video(sys.argv[1], smooth='flow')\n"
        "video.save(sys.argv[2], labels=sys.argv[3])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for times in (3, 30):
        path = film(tmp_path / f"{times}.avi", frames * times)
        targets = [str(tmp_path / f"{times}.{kind}") for kind in ("mp4", "mkv")]
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), *targets], capture_output=True, check=True
        )
        assert len(frames_in(Path(targets[0]))) == 12 * times
        peaks.append(int(done.stdout) / 1024)
    all_frames = 12 * 30 * frames[0].nbytes / 2**20
    assert peaks[1] - peaks[0] < all_frames / 3
