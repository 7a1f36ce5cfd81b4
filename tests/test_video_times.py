"""Videos keep their time: when each frame is shown, how long the whole is, and where its sound lies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from humanparse import FormatError, ImageError, Parsing, get_scheme
from humanparse.pipelines.pipeline import Pipeline
from humanparse.video.parsed import ParsedVideo, parse_video
from humanparse.video.reading import VideoReader
from humanparse.video.writing import VideoFormat, encoding

SIZE = (64, 96)
SOUND = 48000
CODECS = {
    **{".mkv": "libx264", ".mp4": "libx264", ".mov": "libx264", ".webm": "libvpx"},
    **{".avi": "mpeg4", ".mpg": "mpeg2video", ".ts": "libx264"},
}
UNEVEN = [170 * (number // 10) + 17 * number + 1000 * (number // 10) for number in range(30)]
"""Milliseconds: frames 17 ms apart, every tenth followed by more than a second."""


ATR = get_scheme("atr")


class Grey(Pipeline):
    """Gives labels that need no network: a grey value each."""

    def start(self, batch: Sequence[np.ndarray], *options: bool) -> Callable[[], list[Parsing]]:
        return lambda: [Parsing(pixels[..., 0] // 16, ATR, "grey") for pixels in batch]


def parsed(source: Path, every: int = 1) -> ParsedVideo:
    """What `Parser.predict_video` gives."""
    return parse_video(source, Grey(), ATR, "grey", every, None, None, 8, False)


def film(
    path: Path,
    times: list[Any],
    last: Any = 40,
    rate: Fraction | int = 25,
    tick: Fraction = Fraction(1, 1000),
    sound: str | None = None,
    **options: str,
) -> Path:
    """A clip whose frames are shown at these times in milliseconds, the last one for `last`.

    MPEG streams begin 100 s later.
    Its sound is a tone of a tenth of a second whenever a frame is shown that is a multiple of ten.
    """
    offset = {"output_ts_offset": "100"} if path.suffix in (".mpg", ".ts") else {}
    with av.open(str(path), "w", container_options=offset) as file:
        video: Any = file.add_stream(CODECS[path.suffix], rate=rate, options=options)
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = tick
        audio: Any = file.add_stream(sound, rate=SOUND, layout="mono") if sound else None
        ends = [*times[1:], times[-1] + last]
        lasts = {
            round(time / 1000 / tick): (end - time) / 1000 for time, end in zip(times, ends, strict=True)
        }
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 8 * number, np.uint8))
            frame.pts, frame.time_base = round(time / 1000 / tick), tick
            write(file, video.encode(frame), lasts)
        write(file, video.encode(None), lasts)
        if audio is not None:
            add_sound(file, audio, times, times[-1] + last)
    return path


def write(file: Any, packets: list[Any], lasts: dict[int, float]) -> None:
    for packet in packets:
        packet.duration = round(lasts[packet.pts] / packet.time_base)
        file.mux(packet)


def add_sound(file: Any, audio: Any, times: list[Any], length: float) -> None:
    moments = np.arange(round(length / 1000 * SOUND)) / SOUND
    loud = np.zeros(len(moments), np.bool_)
    for time in times[::10]:
        loud |= (moments >= time / 1000) & (moments < time / 1000 + 0.1)
    samples = (np.sin(2 * np.pi * 1000 * moments) * loud * 16000).astype(np.int16)
    for begin in range(0, len(samples), 960):
        frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + 960], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND, begin, Fraction(1, SOUND)
        file.mux(audio.encode(frame))
    file.mux(audio.encode(None))


def shown(path: Path) -> tuple[list[float], float]:
    """When the frames of a file are shown, and when the last one no longer is, by PyAV alone."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = [(frame.pts * frame.time_base, frame.duration) for frame in file.decode(stream)]
        assert stream.time_base is not None
        end = frames[-1][0] + frames[-1][1] * stream.time_base
        return [float(time) for time, _ in frames], float(end)


def heard(path: Path) -> list[float]:
    """When the tones of a file begin, in seconds."""
    with av.open(str(path)) as file:
        samples, times = [], []
        for frame in file.decode(file.streams.audio[0]):
            values = frame.to_ndarray().astype(np.float64).reshape(-1)
            samples.append(values if frame.format.name.startswith("flt") else values / 32768)
            assert frame.time is not None
            times.append(frame.time + np.arange(len(values)) / frame.sample_rate)
    loud = np.abs(np.concatenate(samples)) > 0.1
    moments = np.concatenate(times)[loud]
    return [float(one) for one in moments[np.insert(np.diff(moments) > 0.05, 0, True)]]


STEADY = [Fraction(1001, 30) * number for number in range(30)]
CLIPS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "variable Matroska": (".mkv", UNEVEN, {"last": 500}),
    "variable Matroska with B-frames": (".mkv", UNEVEN, {"bf": "3"}),
    "variable WebM": (".webm", UNEVEN, {"last": 17}),
    "variable MP4": (".mp4", UNEVEN, {"tick": Fraction(1, 90000), "bf": "3"}),
    "variable QuickTime": (".mov", UNEVEN, {}),
    "steady MP4": (
        ".mp4",
        STEADY,
        {"tick": Fraction(1, 30000), "last": STEADY[1], "rate": Fraction(30000, 1001)},
    ),
    "steady Matroska": (".mkv", STEADY, {"last": STEADY[1], "rate": Fraction(30000, 1001)}),
    "steady AVI": (".avi", [40 * number for number in range(25)], {"tick": Fraction(1, 25), "bf": "2"}),
    "late Matroska": (".mkv", [2500 + time for time in UNEVEN], {}),
    "late MP4": (".mp4", [2500 + time for time in UNEVEN], {}),
    "one frame": (".mkv", [500], {"last": 3000}),
}


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("name", CLIPS)
def test_frames_keep_their_times_and_the_video_its_length(tmp_path: Path, name: str, every: int) -> None:
    suffix, times, options = CLIPS[name]
    source = film(tmp_path / f"in{suffix}", times, **options)
    expected, end = shown(source)
    if suffix == ".avi":  # which has no times of its own
        expected, end = [number / 25 for number in range(25)], 1.0
    assert expected == pytest.approx([float(time) / 1000 for time in times], abs=0.0006)
    assert end == pytest.approx(float(times[-1] + options.get("last", 40)) / 1000, abs=0.0015)
    for overlay in ("out.mp4", "out.mkv"):
        video = parsed(source, every=every)
        count = video.save(tmp_path / overlay, labels=tmp_path / "labels.mkv")
        assert count == len(expected[::every])
        for made in (overlay, "labels.mkv"):
            found, found_end = shown(tmp_path / made)
            assert found == pytest.approx(expected[::every], abs=0.0011)
            assert found_end == pytest.approx(end, abs=0.0015)
    with av.open(str(tmp_path / "out.mp4")) as file:
        stream = file.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(end - expected[0], abs=0.0015)


def test_a_steady_rate_stays_steady_though_matroska_rounds_its_times(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    source = film(tmp_path / "in.mkv", STEADY, rate=rate, last=STEADY[1])
    parsed(source).save(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        frames = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    assert frames == [number / rate for number in range(30)]
    assert VideoReader(tmp_path / "out.mp4").rate == rate


@pytest.mark.parametrize("name", ["variable WebM", "late MP4"])
def test_each_frame_says_when_it_is_shown(tmp_path: Path, name: str) -> None:
    suffix, times, options = CLIPS[name]
    source = film(tmp_path / f"in{suffix}", times, **options)
    found = [(frame.number, frame.seconds) for frame in parsed(source, every=3)]
    assert [number for number, _ in found] == list(range(0, 30, 3))
    assert [seconds for _, seconds in found] == pytest.approx([time / 1000 for time in times[::3]])


@pytest.mark.parametrize("out", ["out.mp4", "out.mkv", "out.mov"])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".webm", "libopus"),
        (".mp4", "aac"),
        (".mkv", "pcm_s16le"),
        (".mkv", "flac"),
        (".avi", "pcm_s16le"),
    ],
)
def test_sound_stays_with_its_frames(tmp_path: Path, suffix: str, codec: str, out: str) -> None:
    even = suffix == ".avi"
    times = [40 * number for number in range(30)] if even else [300 + time for time in UNEVEN]
    tick = Fraction(1, 25) if even else Fraction(1, 1000)
    source = film(tmp_path / f"in{suffix}", times, sound=codec, tick=tick)
    tones = heard(source)
    assert tones == pytest.approx([time / 1000 for time in times[::10]], abs=0.025)
    parsed(source).save(tmp_path / out)
    assert shown(tmp_path / out)[0] == pytest.approx([time / 1000 for time in times], abs=0.0006)
    assert heard(tmp_path / out) == pytest.approx(tones, abs=0.025)


@pytest.mark.parametrize("suffix", [".mpg", ".ts"])
def test_a_clock_that_begins_anywhere_begins_at_0_with_sound_and_frames_together(
    tmp_path: Path, suffix: str
) -> None:
    times = [40 * number for number in range(30)]
    source = film(tmp_path / f"in{suffix}", times, tick=Fraction(1, 25), sound="mp2")
    before = shown(source)[0]
    assert before[0] >= 100
    parsed(source).save(tmp_path / "out.mp4")
    found, end = shown(tmp_path / "out.mp4")
    assert 0 <= found[0] < 0.1 and end == pytest.approx(found[-1] + 0.04, abs=0.001)
    assert np.diff(found) == pytest.approx(np.diff(before), abs=0.001)
    late = before[0] - heard(source)[0]
    assert found[0] - heard(tmp_path / "out.mp4")[0] == pytest.approx(late, abs=0.002)


def test_times_that_cannot_be_kept_are_refused_and_equal_ones_cost_no_frame(tmp_path: Path) -> None:
    video_format, frame = VideoFormat(SIZE, Fraction(25)), np.zeros((*SIZE, 3), np.uint8)
    with encoding(tmp_path / "equal.mp4", video_format) as written:
        for seconds in (0, 0.04, 0.04, 0.08):
            written.add(frame, seconds)
    assert shown(tmp_path / "equal.mp4")[0] == pytest.approx([0, 0.04, 0.041, 0.08])
    with (
        pytest.raises(FormatError, match=r"frame 2 is shown at 0\.010 s, before .* \(0\.040 s\).*setpts"),
        encoding(tmp_path / "back.mp4", video_format) as written,
    ):
        for seconds in (0, 0.04, 0.01):
            written.add(frame, seconds)
    assert [path.name for path in tmp_path.iterdir()] == ["equal.mp4"]


def test_a_stream_without_times_follows_its_rate(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "raw.h264"), "w", format="h264") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.height, stream.width = SIZE
        for number in range(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 20 * number, np.uint8))))
        file.mux(stream.encode(None))
    parsed(tmp_path / "raw.h264").save(tmp_path / "out.mkv")
    assert shown(tmp_path / "out.mkv")[0] == pytest.approx([number / 25 for number in range(6)])


def test_frames_are_those_of_opencv(tmp_path: Path) -> None:
    for name in ("steady MP4", "variable WebM", "steady AVI"):
        suffix, times, options = CLIPS[name]
        source = film(tmp_path / f"in{suffix}", times, **options)
        reader, capture = VideoReader(source), cv2.VideoCapture(str(source))
        while (frame := reader.read()) is not None:
            assert np.abs(frame[..., ::-1].astype(int) - capture.read()[1]).max() <= 1
        assert not capture.grab()


def test_frames_that_are_missing_at_the_end_are_noticed(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", [40 * number for number in range(12)], movflags="faststart", g="1")
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as file:
        last = [packet for packet in file.demux(video=0) if packet.size][-1]
        assert last.pos is not None
        content[last.pos : last.pos + last.size] = bytes(last.size)
    source.write_bytes(content)
    found = []
    with pytest.raises(ImageError, match=r"in\.mp4: frame 11 is damaged"):
        for frame in parsed(source):
            found.append(frame.number)
    assert found == list(range(11))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (0, r"camera 0: .*record a file, or pass the camera's frames"),
        ("0", "there is no such file.*record a file"),
        ("/dev/null", "not a regular file.*record a file"),
        ("rtsp://host/live", "rtsp://host/live: a video is read from a file"),
        ("https://host/a.mp4", "download or record it"),
        (cv2.VideoCapture(), "pass the path of a video file, not a VideoCapture"),
    ],
)
def test_cameras_and_addresses_are_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Any, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=reason):
        parsed(source)


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mkv"), "w") as file:
        audio: Any = file.add_stream("flac", rate=SOUND, layout="mono")
        add_sound(file, audio, [0], 500)
    with pytest.raises(ImageError, match=r"sound\.mkv: there is no video in this file, only audio"):
        parsed(tmp_path / "sound.mkv")


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    program = (
        "import resource, sys, numpy as np\nfrom fractions import Fraction\nfrom pathlib import Path\n"
        "from humanparse.video.writing import VideoFormat, encoding\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "noise = np.random.default_rng(0)\n"
        "with encoding(Path('out.mkv'), VideoFormat((240, 320), Fraction(25))) as film:\n"
        "    for number in range(30):\n"
        "        film.add(noise.integers(0, 256, (240, 320, 3), np.uint8), number / 25)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "FormatError: cannot write out.mkv: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
