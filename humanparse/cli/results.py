"""Parses photos, while threads read the next ones and write the results of earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import formats, remote
from ..errors import FormatError
from ..formats import Format
from .people_file import PeopleFile
from .photos import STDIN, Job, content_of, load_photo

if TYPE_CHECKING:
    from ..arrays import Picture
    from ..cleaning import Cleaning
    from ..parser import Parser
    from ..results import Parsing


@dataclass(frozen=True)
class Wanted:
    """What is written for each photo.

    Raises:
        FormatError: an unknown kind.
    """

    cleaning: Cleaning
    kinds: tuple[str, ...]  # of `formats.FORMATS`
    legend: bool
    people: PeopleFile | Literal["detect"] | None = None

    def __post_init__(self) -> None:
        self.formats()

    def formats(self) -> list[Format]:
        """The formats of `kinds`."""
        return [formats.find(kind) for kind in self.kinds]

    @property
    def shows_photo(self) -> bool:
        """Whether a format needs the photos' pixels."""
        return any(one.shows_photo for one in self.formats())

    @property
    def confidence(self) -> bool:
        """Whether a format stores confidence."""
        return any(one.confidence for one in self.formats())

    def files(self, job: Job) -> list[Path | str]:
        """The files that every photo has."""
        return [job.place(name) for one in self.formats() for name in one.names(job.stem)]


class _Photo:
    """A photo that is read in a thread; its pixels are kept if an overlay shows them."""

    def __init__(self, job: Job, keep: bool) -> None:
        self.job, self._keep = job, keep
        self._content = content_of(job.source)
        self.pixels: Picture | None = None

    def load(self) -> Picture:
        content, self._content = self._content, ""  # standard input may be large
        pixels = load_photo(self.job.source, content)
        self.pixels = pixels if self._keep else None
        return pixels


def write_results(
    parser: Parser, wanted: Wanted, threads: int, jobs: Iterable[Job]
) -> Generator[Exception | None]:
    """Parse photos and write their results.

    Args:
        parser: the model.
        wanted: what to write.
        threads: number of reading threads, and of writing threads; also the most photos that are read ahead,
            and that wait to be written.
        jobs: the photos; taken as they are needed.

    Yields:
        For each photo, in order: None once its files are written, or its error.

    Raises:
        HumanParseError: no photo can be parsed with these options.
    """
    coming: deque[_Photo] = deque()

    def photos() -> Iterator[_Photo]:
        for job in jobs:
            coming.append(_Photo(job, wanted.shows_photo))
            yield coming[-1]

    writers = ThreadPoolExecutor(threads, "humanparse-write")
    writing: deque[Future[None]] = deque()
    try:
        with closing(_parsed(parser, photos(), wanted, threads)) as outcomes:
            for outcome in outcomes:
                writing.append(writers.submit(_write, coming.popleft(), outcome, wanted))
                del outcome  # otherwise it stays in memory while the next one is computed
                if len(writing) > threads:
                    yield _error(writing.popleft())
        while writing:
            yield _error(writing.popleft())
    finally:
        writers.shutdown(wait=True, cancel_futures=True)


def write_in_processes(
    load: Callable[[], Parser], wanted: Wanted, threads: int, jobs: Sequence[Job], processes: int
) -> Generator[Exception | None]:
    """`write_results` in several processes, which share the threads and the photos; each calls `load`.

    Raises:
        FormatError: one of the photos is standard input.
        BulkError: a process died.
    """
    from ..bulk.processes import spread

    if any(job.source == STDIN for job in jobs):
        raise FormatError("standard input is read by one process; leave --processes out")
    return spread(partial(_started, load, wanted, max(1, threads // processes)), jobs, processes)


def _started(
    load: Callable[[], Parser], wanted: Wanted, threads: int
) -> Callable[[Iterable[Job]], Iterator[Exception | None]]:
    return partial(write_results, load(), wanted, threads)


def _error(done: Future[None]) -> Exception | None:
    error = done.exception()
    if error is None or isinstance(error, Exception):
        return error
    raise error


def _parsed(parser: Parser, photos: Iterator[_Photo], wanted: Wanted, ahead: int) -> Any:
    """A generator of each photo's parsing, or its error."""
    from ..pipelines.snapshots import Snapshot

    if isinstance(wanted.people, PeopleFile):
        return _with_own_people(parser, photos, wanted.people, wanted.confidence)
    return parser.predict_many(
        (Snapshot(photo.load) for photo in photos),
        on_error="yield",
        people=wanted.people,
        confidence=wanted.confidence,
        ahead=ahead,
    )


def _with_own_people(
    parser: Parser, photos: Iterator[_Photo], people: PeopleFile, confidence: bool
) -> Iterator[Parsing | Exception]:
    for photo in photos:
        try:
            mine = people.of(photo.job.source)
            yield parser.predict(photo.load(), people=mine, confidence=confidence)
        except Exception as error:  # an error with one photo must not stop the others
            yield error


def _write(photo: _Photo, outcome: Parsing | Exception, wanted: Wanted) -> None:
    if isinstance(outcome, Exception):
        raise outcome
    job, parsing = photo.job, outcome.cleaned(**wanted.cleaning.words())
    name = formats.PhotoName(job.stem) if job.source == STDIN else formats.photo_name(job.source, job.folder)
    about = formats.Photo(name, photo.pixels, wanted.legend)
    for one in wanted.formats():
        if not isinstance(job.folder, str):
            formats.export(parsing, one.kind, job.folder, job.stem, about)
            continue
        for file, content in one.contents(parsing, job.stem, about).items():
            remote.write(remote.join(job.folder, file), content)
