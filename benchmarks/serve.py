"""Load `humanparse serve` on 127.0.0.1: throughput, latency, memory, and whether any answer is another's.

    python benchmarks/serve.py --clients 300 --requests 1200 [--workers 2] [--model NAME] [--size 480]

Each client sends pictures one after the other; every answer is compared, byte for byte, with what the same
picture got when nobody else asked, and that with `Parser.predict` in this process. Who is told to come back
(429) does so after the time it was told. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from humanparse import Parser, image

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"


@dataclass
class Seen:
    """What the clients met."""

    seconds: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    peak: dict[int, float] = field(default_factory=dict)
    elapsed: float = 0.0


def pictures(count: int, size: int) -> list[bytes]:
    """Different JPEGs of different sizes, out of one photo; the longest side is `size`."""
    photo = Image.fromarray(image.load(PHOTO))
    chance, found = random.Random(0), []
    for _ in range(count):
        wide, tall = (round(side * chance.uniform(0.4, 0.95)) for side in photo.size)
        left, top = chance.randint(0, photo.width - wide), chance.randint(0, photo.height - tall)
        piece = photo.crop((left, top, left + wide, top + tall))
        piece.thumbnail((size, size))
        buffer = io.BytesIO()
        piece.save(buffer, format="JPEG", quality=92)
        found.append(buffer.getvalue())
    return found


def start(options: argparse.Namespace, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The service's process and address, once it is ready."""
    command = [sys.executable, "-m", "humanparse", "serve", "--port", "0", "-m", options.model]
    command += ["--workers", str(options.workers), "--queue", str(options.queue), "--timeout", "300"]
    with log.open("wb") as file:
        service = subprocess.Popen(command, stdout=file, stderr=file)
    while True:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8"))
        try:
            if found and httpx.get(found[0] + "/readyz").status_code == 200:
                return service, found[0]
        except httpx.TransportError:
            pass
        if service.poll() is not None:
            raise SystemExit(log.read_text(encoding="utf-8"))
        time.sleep(0.2)


def quiet(address: str, sent: list[bytes], model: str) -> list[bytes]:
    """What each picture gets when nobody else asks."""
    parser, answers = Parser(model), []
    with httpx.Client(base_url=address, timeout=300) as client:
        for content in sent:
            answer = client.post("/v1/parse?format=png", content=content)
            with Image.open(io.BytesIO(answer.raise_for_status().content)) as labels:
                own = (np.array(labels) == parser.predict(content).labels).mean()
            if own < 0.9999:
                raise SystemExit(f"the service's labels are not those of Parser.predict: {own:.6f} agree")
            answers.append(answer.content)
    return answers


async def load(address: str, sent: list[bytes], expected: list[bytes], options: argparse.Namespace) -> Seen:
    """Let all clients ask until all requests are done."""
    seen, left = Seen(), iter(range(options.requests))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)

    async def client(seed: int, http: httpx.AsyncClient) -> None:
        chance = random.Random(seed)
        for _ in left:
            number = chance.randrange(len(sent))
            begin = time.perf_counter()
            try:
                answer = await http.post("/v1/parse?format=png", content=sent[number])
                while answer.status_code == 429:
                    seen.counts["told to come back"] += 1
                    await asyncio.sleep(int(answer.headers["retry-after"]) * chance.uniform(1, 1.5))
                    begin = time.perf_counter()
                    answer = await http.post("/v1/parse?format=png", content=sent[number])
            except httpx.TransportError:
                seen.counts["dropped"] += 1
                continue
            seen.seconds.append(time.perf_counter() - begin)
            right = answer.status_code == 200 and answer.content == expected[number]
            mixed = answer.status_code == 200 and not right
            seen.counts["right" if right else "mixed up" if mixed else "dropped"] += 1

    async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as http:
        begin = time.perf_counter()
        await asyncio.gather(*(client(seed, http) for seed in range(options.clients)))
        seen.elapsed = time.perf_counter() - begin
    return seen


def peaks(main: int) -> list[float]:
    """The most memory, in MB, that each process of the service that answers requests has held."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            status = folder.joinpath("status").read_text(encoding="utf-8")
            worker = parent == main and b"spawn_main" in folder.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if worker or int(folder.name) == main:
            held = re.search(r"VmHWM:\s+(\d+) kB", status)
            found.append(int(held[1]) / 1024 if held else 0.0)
    return sorted(found)


def main() -> None:
    """See the module."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clients", type=int, default=300)
    words.add_argument("--requests", type=int, default=1200)
    words.add_argument("--workers", type=int, default=1)
    words.add_argument("--queue", type=int, default=256)
    words.add_argument("--pictures", type=int, default=24)
    words.add_argument("--size", type=int, default=480)
    words.add_argument("--model", default="lite-atr")
    options = words.parse_args()
    sent = pictures(options.pictures, options.size)
    with tempfile.TemporaryDirectory() as folder:
        service, address = start(options, Path(folder) / "log")
        try:
            expected = quiet(address, sent, options.model)
            idle = peaks(service.pid)
            seen = asyncio.run(load(address, sent, expected, options))
            busy = peaks(service.pid)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait()
    print(f"{options.model}, {options.workers} worker(s), {options.clients} clients, {os.cpu_count()} cores")
    p50, p99 = np.percentile(seen.seconds, (50, 99))
    rows = (
        ("requests", str(options.requests)),
        ("answers/s", f"{seen.counts['right'] / seen.elapsed:.1f}"),
        ("p50, s", f"{p50:.2f}"),
        ("p99, s", f"{p99:.2f}"),
        ("peak memory before, MB", " + ".join(f"{one:.0f}" for one in idle)),
        ("peak memory under load, MB", " + ".join(f"{one:.0f}" for one in busy)),
        ("told to come back (429)", str(seen.counts["told to come back"])),
        ("dropped", str(seen.counts["dropped"])),
        ("mixed up", str(seen.counts["mixed up"])),
    )
    for name, value in rows:
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
