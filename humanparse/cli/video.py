"""`humanparse predict` for videos: writes a video with tinted parts, and one of labels."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import FormatError
from ..video.containers import SUFFIXES
from .console import err, report, say
from .options import optional
from .photos import make_folder

if TYPE_CHECKING:
    from ..parser import Parser
    from ..video.frames import VideoFrame

VideoLabels = Annotated[
    Path | None, optional(help="Also write a video's labels: a lossless .mkv, or a new folder.")
]
VideoEvery = Annotated[int, typer.Option(help="Take every n-th frame of a video.")]


@dataclass(frozen=True)
class Films:
    """The videos of one call, each with the file for its tinted copy; None writes none."""

    films: tuple[tuple[Path, Path | None], ...]
    labels: Path | None
    smooth: str | None
    every: int

    def refuse(self, **options: Any) -> None:
        """Raise `FormatError` if an option is set that is only for photos."""
        for name, value in options.items():
            if value:
                raise FormatError(f"--{name} is for photos; of a video there are -o VIDEO and --labels PATH")

    def parse(self, parser: Parser, quiet: bool, debug: bool, detect: bool) -> None:
        """Parse and write them one after the other, with people if `detect`; exit with 1 if one failed."""
        failures = 0
        for film, overlay in self.films:
            try:
                self._parse(parser, film, overlay, quiet, detect)
            except Exception as error:  # an error with one video must not stop the others
                failures += 1
                report(error, debug=debug, about=str(film))
        if failures:
            raise typer.Exit(1)

    def _parse(self, parser: Parser, film: Path, overlay: Path | None, quiet: bool, detect: bool) -> None:
        how: Any = self.smooth  # predict_video checks it
        people: Literal["detect"] | None = "detect" if detect else None
        video = parser.predict_video(film, smooth=how, every=self.every, people=people)
        if overlay is not None:
            make_folder(overlay.parent)
        start = time.monotonic()
        with _watched(film.name, video.expected, quiet) as each:
            count = video.save(overlay, labels=self.labels, each=each)
        if not quiet:
            rate = count / max(1e-9, time.monotonic() - start)
            written = " and ".join(str(path) for path in (overlay, self.labels) if path is not None)
            say(f"{film}: {count} frames parsed, {rate:.1f}/s, results in {written}")


def read_films(
    given: list[str], output: Path | str | None, labels: Path | None, smooth: str | None, every: int
) -> Films | None:
    """The videos among command-line arguments; None if all are photos.

    Args:
        given: files, or globs of them.
        output: a video, or a folder for videos; None is "parsed", or nothing if only labels are wanted.
        labels: see `ParsedVideo.save`.
        smooth, every: see `Parser.predict_video`.

    Raises:
        FormatError: photos and videos are mixed, an option for videos is set for photos, or two outputs have
            the same name.
    """
    films = [path for word in given for path in _named(word)]
    if not films:
        if labels is not None or smooth is not None or every != 1:
            raise FormatError(
                f"--labels, --smooth {smooth or 'flow'} and --every are for videos "
                f"({', '.join(sorted(SUFFIXES))}); "
                "for photos --smooth takes a radius in pixels"
            )
        return None
    if isinstance(output, str):
        raise FormatError(f"{output}: videos are written to a disk only; choose another folder with -o")
    photos = [word for word in given if not _named(word)]
    if photos:
        raise FormatError(f"{films[0]} is a video and {photos[0]} is not; parse them in two calls")
    if len(films) > 1 and labels is not None:
        raise FormatError("--labels is for one video; parse them in several calls")
    if output is not None and output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(films) > 1:
            raise FormatError(f"{output} is one video, but there are {len(films)}; name a folder with -o")
        return Films(((films[0], output),), labels, smooth, every)
    if output is None and labels is not None:
        return Films(((films[0], None),), labels, smooth, every)
    targets = [(output or Path("parsed")) / f"{film.stem}.mp4" for film in films]
    if len(set(targets)) < len(targets):
        raise FormatError("two videos of the same name would write the same file; use two folders")
    return Films(tuple(zip(films, targets, strict=True)), labels, smooth, every)


def _named(word: str) -> list[Path]:
    """The videos that a command-line argument stands for."""
    names = [word] if Path(word).is_file() else sorted(glob.glob(word, recursive=True))
    return [path for path in map(Path, names) if path.suffix.lower() in SUFFIXES and path.is_file()]


@contextmanager
def _watched(name: str, expected: int, quiet: bool) -> Iterator[Callable[[VideoFrame], None]]:
    """Yield a function to call after each frame; on a terminal, it updates a progress bar."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]}"), TimeRemainingColumn()),
    )
    hidden = quiet or not err.is_terminal
    with Progress(*columns, console=err, disable=hidden, transient=True) as bar:
        task = bar.add_task(name, total=expected or None, rate="")
        start, count = time.monotonic(), 0

        def each(frame: VideoFrame) -> None:
            nonlocal count
            count += 1
            rate = f"{count / max(1e-9, time.monotonic() - start):.1f}/s"
            bar.update(task, completed=count, total=max(expected, count) if expected else None, rate=rate)

        yield each
