"""Copies the sound of one video file into another, at its own times."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FormatError
from .reading import clock_start

if TYPE_CHECKING:
    import av

_GAP = 0.1
"""Seconds by which encoded sound may be early or late."""


class Sound:
    """Copies all sound tracks of a file into another.

    Args:
        source: a video file; None copies nothing.
        file: the new file, which must not have packets yet: tracks can only be added before the first.
        container: FFmpeg's name of the new file's container.

    Raises:
        FormatError: the sound can be neither copied nor re-encoded.
    """

    def __init__(self, source: Path | None, file: av.container.OutputContainer, container: str) -> None:
        self._source, self._file = source, file
        self._opened: Any = None
        self._packets: Iterator[tuple[float, Any]] = iter(())
        self._next: tuple[float, Any] | None = None
        if source is not None:
            self._open(source, container)

    def _open(self, source: Path, container: str) -> None:
        import av

        self._opened = av.open(f"file:{source}")
        try:
            self._start = clock_start(self._opened)
            self._tracks = {
                stream.index: _Track(stream, self._file, container, source)
                for stream in self._opened.streams.audio
                if stream.codec_context is not None
            }
            if self._tracks:
                self._packets = self._read()
        except BaseException:
            self._opened.close()
            raise

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def write(self, until: float) -> None:
        """Write the sound up to a time in seconds.

        Raises:
            FormatError: the sound cannot be read or written.
        """
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or self._next[0] >= until:
                return
            self._file.mux_one(self._next[1])
            self._next = None

    def _read(self) -> Iterator[tuple[float, Any]]:
        """Packets for the new file, with their times in seconds."""
        import av

        try:
            for packet in self._opened.demux(self._opened.streams.audio):
                track = self._tracks.get(packet.stream.index)
                if track is not None:
                    for made in track.packets(packet, self._start):
                        yield float(made.dts * made.time_base), made
        except (av.FFmpegError, OSError) as error:
            raise FormatError(
                f"the sound of {self._source} cannot be read ({error}); leave it out with: "
                "ffmpeg -i IN -c copy -an OUT"
            ) from error


def _holds(container: str, stream: Any) -> bool:
    """Whether a container accepts a sound track unchanged; only a trial tells."""
    import av

    if container == "mp4" and stream.codec_context.name.startswith("pcm_"):
        return False  # hardly any player supports it
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


class _Track:
    """One sound track on its way into the new file: copied, or encoded as AAC."""

    def __init__(self, stream: Any, file: av.container.OutputContainer, container: str, source: Path) -> None:
        self._source = source
        self._due: float | None = None
        self._encoder: Any = None
        if _holds(container, stream):
            self._made: Any = file.add_stream_from_template(stream)
        else:
            self._made = file.add_stream("aac", rate=stream.codec_context.sample_rate)
            layout = stream.codec_context.layout
            # PCM often states only its number of channels; for "2c" use the usual layout of two.
            unnamed = layout.name.endswith("channels")
            self._made.codec_context.layout = f"{layout.nb_channels}c" if unnamed else layout.name
            self._encoder = self._made
        self._made.metadata.update(stream.metadata)
        self._keeps_negative = container != "matroska"

    def packets(self, packet: Any, start: Fraction) -> Iterator[Any]:
        """The packets to write for a packet of the source; an empty one marks the end."""
        if self._encoder is not None:
            yield from self._encoded(packet, start)
        elif packet.size and packet.dts is not None:
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            # Matroska has no times before 0; it would shift all sound for the sake of this inaudible part.
            if self._keeps_negative or packet.pts + (packet.duration or 0) > 0:
                packet.stream = self._made
                yield packet

    def _encoded(self, packet: Any, start: Fraction) -> Iterator[Any]:
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(start / frame.time_base)
                self._refuse_gap(frame)
            yield from self._encoder.encode(frame)
        if not packet.size:
            yield from self._encoder.encode(None)

    def _refuse_gap(self, frame: Any) -> None:
        """Raise an error at a gap: the encoder joins samples, so later sound would be too early."""
        begin = float(frame.pts * frame.time_base)
        if self._due is not None and abs(begin - self._due) > _GAP:
            raise FormatError(
                f"the sound of {self._source} has a gap at {begin:.1f} s, which cannot be kept when it is "
                "encoded as AAC; write an .mkv, which holds the sound as it is"
            )
        self._due = begin + frame.samples / frame.sample_rate
