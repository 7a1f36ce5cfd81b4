"""The service under clients that leave, lie and stall, and under the death of its workers.

What an hour of trouble holds is done in less than a minute: hundreds of answers, each compared with its own
picture's, hundreds of faults, each with the status it must get, and workers killed in the middle of it.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from golden import SMALL
from PIL import Image
from serving import pieces, png, reply, until
from test_serve import JPEG, bomb, labels_of

from humanparse import Parser, image

SECONDS = 32
KILLS = 3
MOST_MEGABYTES = 1500

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc to find workers")


class Workers:
    """`humanparse serve` with two workers."""

    def __init__(self, log: Path) -> None:
        self.log = log
        options = ("--port", "0", "--workers", "2", "--max-mb", "1", "--max-pixels", "1000000")
        limits = ("--upload-seconds", "1.5", "--timeout", "40", "--queue", "40")
        command = [sys.executable, "-m", "humanparse", "serve", *options, *limits]
        with log.open("wb") as file:
            self.main = subprocess.Popen(command, stdout=file, stderr=file)
        self.port = 0

    def listening(self) -> bool:
        """Whether it says where it listens, and answers there."""
        assert self.main.poll() is None, self.log.read_text()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())
        if not found:
            return False
        self.port = int(found[1])
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def pids(self) -> list[int]:
        """The worker processes."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.main.pid and b"spawn_main" in folder.joinpath("cmdline").read_bytes():
                    found.append(int(folder.name))
        return found


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    running = Workers(tmp_path / "log")
    try:
        until(running.listening, 90)
        yield running
    finally:
        if running.main.poll() is None:
            for pid in running.pids():
                os.kill(pid, signal.SIGKILL)
            running.main.kill()
        running.main.wait()


class Soak:
    """What the clients do, and what came of it."""

    def __init__(self, workers: Workers, pictures: list[bytes], expected: list[dict[str, bytes]]) -> None:
        self.workers = workers
        self.pictures = pictures
        self.expected = expected
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.cuts: list[float] = []  # when a connection ended without an answer
        self.kills: list[float] = []
        self.over = threading.Event()
        self._lock = threading.Lock()

    def note(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def honest(self, seed: int) -> None:
        """Ask, compare, and ask again."""
        chance = random.Random(seed)
        while not self.over.is_set():
            with httpx.Client(base_url=f"http://127.0.0.1:{self.workers.port}", timeout=60) as client:
                try:
                    for _ in range(8):
                        if self.over.is_set():
                            return
                        self.ask(client, chance)
                except httpx.TransportError:  # a worker was killed under it
                    self.cuts.append(time.monotonic())

    def ask(self, client: httpx.Client, chance: random.Random) -> None:
        number, kind = chance.randrange(len(self.pictures)), chance.choice(("png", "overlay", "npz"))
        if chance.random() < 0.5:
            sent = {"content": self.pictures[number], "headers": {"Content-Type": "image/png"}}
        else:
            sent = {"files": {"image": self.pictures[number]}}
        answer = client.post("/v1/parse", params={"format": kind}, **sent)  # type: ignore[arg-type]
        if answer.status_code == 429 and int(answer.headers["retry-after"]) > 0:
            self.note("busy")
            self.over.wait(0.3)
        elif answer.status_code != 200:
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
        elif answer.content != self.expected[number][kind]:
            self.wrong.append(f"the {kind} of picture {number} is another's")
        else:
            self.note("right")

    def faulty(self, seed: int) -> None:
        """Misbehave in every way in turn."""
        faults: list[Callable[[], None]] = [
            self.malformed,
            self.cut_upload,
            self.leave,
            self.stall,
            self.babble,
        ]
        turn = seed
        while not self.over.is_set():
            with contextlib.suppress(OSError, httpx.TransportError):  # as above
                faults[turn % len(faults)]()
                self.note(faults[turn % len(faults)].__name__)
            turn += 1

    def malformed(self) -> None:
        url = f"http://127.0.0.1:{self.workers.port}/v1/parse"
        for content, kind, statuses in (
            (JPEG[:3000], "image/jpeg", (400,)),
            (bomb(20_000, 20_000), "image/png", (413,)),
            (bytes(1_200_000), "image/png", (413,)),
            (b"hello", "image/png", (415,)),
            (JPEG, "text/plain", (415,)),
            (b"{" * 50, "application/json", (400,)),
            (b"--b\r\nx", "multipart/form-data; boundary=b", (400,)),
        ):
            answer = httpx.post(url, content=content, headers={"Content-Type": kind}, timeout=60)
            if answer.status_code not in (*statuses, 429):
                self.wrong.append(f"{kind} of {len(content)} bytes: {answer.status_code} {answer.text[:200]}")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.workers.port), timeout=60)

    def head(self, length: int) -> bytes:
        return (
            b"POST /v1/parse HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length
        )

    def cut_upload(self) -> None:
        with self.connect() as sock:
            sock.sendall(self.head(len(JPEG)) + JPEG[: len(JPEG) // 2])

    def leave(self) -> None:
        with self.connect() as sock:
            sock.sendall(self.head(len(self.pictures[0])) + self.pictures[0])
            time.sleep(0.02)

    def stall(self) -> None:
        with self.connect() as sock:
            sock.sendall(self.head(len(JPEG)) + JPEG[:100])
            status, _ = reply(sock)
        self.check(status, (408, 429), "a stalled upload")

    def babble(self) -> None:
        with self.connect() as sock:
            sock.sendall(os.urandom(300) + b"\r\n\r\n")
            status, _ = reply(sock)
        self.check(status, (400,), "noise")

    def check(self, status: int, right: tuple[int, ...], what: str) -> None:
        if not status:
            self.cuts.append(time.monotonic())
        elif status not in right:
            self.wrong.append(f"{what} was answered {status}")

    def kill(self) -> None:
        """Kill a worker every few seconds, and wait until there are two again."""
        for number in range(KILLS):
            self.over.wait(SECONDS / (KILLS + 1))
            pids = self.workers.pids()
            self.kills.append(time.monotonic())
            os.kill(pids[number % len(pids)], signal.SIGKILL)
            until(lambda before=set(pids): len(set(self.workers.pids()) - before) == 1, 30)
            self.note("replaced")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1]) / 1024


def metrics_of(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).raise_for_status().text


def quiet_answers(port: int, pictures: list[bytes]) -> list[dict[str, bytes]]:
    """What each picture gets when nobody else asks."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        return [
            {
                kind: client.post("/v1/parse", params={"format": kind}, content=picture).content
                for kind in ("png", "overlay", "npz")
            }
            for picture in pictures
        ]


@pytest.mark.slow
def test_no_answer_is_wrong_while_clients_lie_and_workers_die(workers: Workers) -> None:
    photos = pieces(image.load(SMALL / "images" / "grace_hopper.jpg")[:400, :400], 12)
    pictures = [png(photo) for photo in photos]
    expected = quiet_answers(workers.port, pictures)
    parser = Parser(device="cpu")
    for photo, answers in zip(photos, expected, strict=True):
        with Image.open(io.BytesIO(answers["png"])) as picture:
            assert (np.array(picture) == parser.predict(photo).labels).mean() > 0.9999
    assert len({answers["overlay"] for answers in expected}) == len(photos)

    soak = Soak(workers, pictures, expected)
    threads = [threading.Thread(target=soak.honest, args=(seed,)) for seed in range(16)]
    threads += [threading.Thread(target=soak.faulty, args=(seed,)) for seed in range(5)]
    threads.append(threading.Thread(target=soak.kill))
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    threads[-1].join(60)
    peaks = {pid: peak_megabytes(pid) for pid in workers.pids()}
    soak.over.set()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    print(dict(soak.seen), len(soak.cuts), "cut", {pid: round(peak) for pid, peak in peaks.items()}, "MB")

    assert soak.wrong == []
    assert len(soak.kills) == soak.seen["replaced"] == KILLS
    assert all(any(0 <= cut - kill < 5 for kill in soak.kills) for cut in soak.cuts)
    assert soak.seen["right"] >= 100 and len(soak.cuts) <= KILLS * 21
    assert all(soak.seen[fault] >= 5 for fault in ("malformed", "cut_upload", "leave", "stall", "babble"))
    assert max(peaks.values()) < MOST_MEGABYTES
    until(workers.listening, 60)
    answer = httpx.post(
        f"http://127.0.0.1:{workers.port}/v1/parse",
        content=pictures[0],
        timeout=60,
        headers={"Accept": "*/*"},
    )
    assert np.array_equal(labels_of(answer.json()), parser.predict(photos[0]).labels)
    counted = re.findall(r'humanparse_answers_total\{.*status="200"\} (\S+)', metrics_of(workers.port))
    assert sum(map(float, counted)) > soak.seen["right"]  # of all workers, the dead too
    workers.main.send_signal(signal.SIGTERM)
    assert workers.main.wait(60) == 0
    assert "Traceback" not in workers.log.read_text()
