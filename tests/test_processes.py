"""Work in processes: order, errors, death, and the bytes of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from command import hear_ctrl_c
from golden import SMALL
from PIL import Image

from humanparse import BulkError, ImageError, ParserOptions, Parsing, bulk
from humanparse.bulk.processes import spread

CREW = SMALL / "images" / "astronaut_431x257.png"
CHEAP = ParserOptions(device="cpu", test_size=(32, 48))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads here as in each process, so that labels are equal."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small photos, and a broken one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(CREW) as photo:
        for number in range(12):
            photo.convert("RGB").resize((60 + number, 50)).save(folder / f"{number:02d}.jpg")
    (folder / "05a.jpg").write_bytes(b"no picture")
    return folder


class OddError(Exception):
    """Cannot be made from its arguments, so it cannot travel."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class TerminatedError(Exception):
    """Its process is terminated while it is sent."""

    def __reduce__(self) -> tuple[type[Exception], tuple[()]]:
        os.kill(os.getpid(), signal.SIGTERM)
        return TerminatedError, ()


def doing(kind: str) -> partial[Iterator[tuple[int, int]]]:
    """What a process begins with."""
    return partial(squares, kind)


def squares(kind: str, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The square of each number, with the process that computed it; what `kind` says happens at 20.

    A `kind` that is a folder is where two processes meet before they begin.
    """
    if Path(kind).is_dir():
        (Path(kind) / str(os.getpid())).touch()
        while len(list(Path(kind).iterdir())) < 2:
            time.sleep(0.01)
    waiting: list[int] = []  # asks for several before it gives one, as a pipeline does
    for number in numbers:
        if number == 20 and kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 20 and kind == "own":
            raise ImageError("20: not a picture")
        if number == 20 and kind == "odd":
            raise OddError(1, 2)
        if number == 20 and kind == "terminated":
            raise TerminatedError
        waiting.append(number)
        if len(waiting) > 3:
            time.sleep(0.001 * (number % 3))
            yield waiting.pop(0) ** 2, os.getpid()
    yield from ((number**2, os.getpid()) for number in waiting)


def test_results_come_in_the_order_of_the_items_from_all_processes(tmp_path: Path) -> None:
    found = list(spread(partial(doing, str(tmp_path)), range(400), 2))
    assert [result for result, _ in found] == [number**2 for number in range(400)]
    assert len({process for _, process in found} - {os.getpid()}) == 2


def test_more_processes_than_items_end_by_themselves() -> None:
    assert [result for result, _ in spread(partial(doing, "work"), [7], 2)] == [49]


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        pytest.param(
            "die", BulkError, r"killed by signal 9; .*take fewer `processes`", marks=pytest.mark.posix
        ),
        ("own", ImageError, "20: not a picture"),
        ("odd", RuntimeError, "OddError: 1 and 2"),
    ],
)
def test_what_ends_one_process_ends_all_with_its_reason(
    kind: str, error: type[Exception], words: str
) -> None:
    found = []
    with pytest.raises(error, match=words):
        for result, _ in spread(partial(doing, kind), range(400), 2):
            found.append(result)
    assert found == [number**2 for number in range(len(found))] and len(found) <= 20


@pytest.mark.posix
def test_a_process_that_is_terminated_while_it_reports_an_error_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(BulkError, match="ended with status 0"):
        list(spread(partial(doing, "terminated"), range(400), 2))
    assert capfd.readouterr().err == ""


def test_label_in_processes_gives_the_bytes_and_rows_of_one(photos: Path, tmp_path: Path) -> None:
    settings = bulk.Settings(formats=("png", "npz"), batch=2)
    told = []
    for engine in (None, bulk.Processes(2)):
        dest = tmp_path / f"out{len(told)}"
        done = bulk.label(photos, dest, model=CHEAP, settings=settings, engine=engine)
        assert (done.counts.done, done.counts.failed, done.stopped) == (12, 1, False)
        files = {path.name: path.read_bytes() for path in dest.iterdir() if path.is_file()}
        told.append((list(bulk.status(dest)[1]), files))
    assert told[0] == told[1] and len(told[0][1]) == 24
    with pytest.raises(BulkError, match="`processes` must be at least 1"):
        bulk.Processes(0)


def predicting(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "humanparse", "predict", "photos", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HUMANPARSE_HOME": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=os.name == "posix",
        preexec_fn=None if os.name == "nt" else hear_ctrl_c,
    )


def test_predict_in_processes_gives_the_bytes_and_errors_of_one(photos: Path, tmp_path: Path) -> None:
    told = []
    for words in ((), ("--processes", "2")):
        out, err = predicting(tmp_path, "-o", f"out{len(told)}", "--overlay", *words).communicate(timeout=300)
        written = {path.name: path.read_bytes() for path in (tmp_path / f"out{len(told)}").iterdir()}
        assert "12 of 13 parsed" in out and "Traceback" not in err
        told.append((err, written))
    assert told[0] == told[1] and len(told[0][1]) == 24 and "05a.jpg" in told[0][0]


@pytest.mark.posix
def test_ctrl_c_ends_all_processes_and_leaves_no_half_written_file(photos: Path, tmp_path: Path) -> None:
    for number in range(200):
        (photos / f"more{number:03d}.jpg").write_bytes((photos / "00.jpg").read_bytes())
    with predicting(tmp_path, "-o", "out", "--processes", "2") as process:
        while not list(tmp_path.glob("out/*.png")):
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=300)  # their standard error is closed: all have ended
    assert process.returncode == 130 and "Traceback" not in err, err
    written = list((tmp_path / "out").iterdir())
    assert 0 < len(written) < 212 and all(Parsing.load(path).size[0] == 50 for path in written)
    assert {path.suffix for path in written} == {".png"}, "a temporary file was left"


def test_standard_input_and_ray_are_refused_with_processes(tmp_path: Path) -> None:
    from humanparse.cli.label import read_engine
    from humanparse.cli.photos import Job
    from humanparse.cli.results import write_in_processes

    with pytest.raises(BulkError, match="--processes is for --engine local"):
        read_engine("ray", None, None, None, 2)
    with pytest.raises(ValueError, match="standard input is read by one process"):
        write_in_processes(None, None, 1, [Job("-", tmp_path, "stdin")], 2)  # type: ignore[arg-type]
