"""`humanparse label` from bucket to bucket against disk to disk, and what listing a large bucket takes.

python benchmarks/remote.py --count 120 --runs 3

The bucket is on an S3 server of this machine (moto, a process of its own), which takes its share of cores.
Objects are listed from a stub that makes each page when it is asked for, into a journal on the disk. Needs
`pip install "humanparse[remote]" "moto[server]"`.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import typer
from bulk import portraits
from rich.console import Console
from rich.table import Table

from humanparse import ParserOptions, bulk, remote
from humanparse.bulk.intake import Intake
from humanparse.bulk.journal import Journal
from humanparse.bulk.objects import ObjectSource

ROOT = "s3://benchmark-bucket"


@contextmanager
def server() -> Iterator[None]:
    """An S3 server on this machine; the environment leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(keys, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.1)
        remote.file_system(ROOT).mkdir(ROOT)
        yield
    finally:
        process.terminate()
        process.wait()


class Endless:
    """A storage with many objects, of which each page is made when it is asked for."""

    protocol = ("s3", "s3a")

    def __init__(self, count: int) -> None:
        self.count = count

    def _strip_protocol(self, path: str) -> str:
        return path.partition("://")[2]

    def call_s3(self, method: str, **asked: Any) -> dict[str, Any]:
        """One page."""
        start = int(asked.get("ContinuationToken", 0))
        end = min(self.count, start + asked["MaxKeys"])
        page = [
            {"Key": f"photos/{number // 1000:05d}/{number:08d}.jpg", "Size": 100_000, "ETag": f'"{number}"'}
            for number in range(start, end)
        ]
        return {"Contents": page, "IsTruncated": end < self.count, "NextContinuationToken": str(end)}


def listing(count: int) -> None:
    """Print seconds to the first batch and to the last, and the peak of memory in MB; in a fresh process."""
    from humanparse.remote import listing as module

    module.file_system = lambda address: Endless(count)  # type: ignore[assignment]
    with TemporaryDirectory() as folder, closing(Journal(Path(folder) / "journal.sqlite")) as journal:
        begin = time.perf_counter()
        with closing(Intake(ObjectSource("s3://bucket/photos").listing())) as intake:
            journal.begin({}, intake.page(wait=True), more=True)
            batches = intake.batches(journal, 8)
            next(batches)
            first = time.perf_counter() - begin
            for _ in batches:
                pass
        seconds, peak = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{first:.2f} {seconds:.1f} {peak:.0f}")


def main(count: int = 120, runs: int = 3, list_only: int = 0) -> None:
    """Print two tables."""
    if list_only:
        return listing(list_only)
    console = Console()
    table = Table("objects", "first batch s", "all s", "peak MB", title="listing into a journal")
    for number in (100, 10_000, 1_000_000):
        again = [sys.executable, __file__, "--list-only", str(number)]
        table.add_row(f"{number:,}", *subprocess.check_output(again, encoding="utf-8").split())
    console.print(table)
    spent: dict[str, list[float]] = {"disk to disk": [], "bucket to bucket": []}
    choice = ParserOptions(device="cpu")
    with TemporaryDirectory() as folder, server():
        os.environ["HUMANPARSE_HOME"] = folder
        photos = portraits(Path(folder) / "photos", count)
        for path in photos.iterdir():
            remote.write(f"{ROOT}/photos/{path.name}", path)
        for run in range(runs):
            for name, source, dest in (
                ("disk to disk", str(photos), f"{folder}/labels{run}"),
                ("bucket to bucket", f"{ROOT}/photos", f"{ROOT}/labels{run}"),
            ):
                done = bulk.label(source, dest, model=choice)
                assert done.counts.done == count
                spent[name].append(done.seconds)
    cores = len(os.sched_getaffinity(0))
    table = Table(
        "what", "median s", "best s", "photos/s", title=f"{count} photos, {runs} runs, {cores} cores"
    )
    for name, seconds in spent.items():
        middle = median(seconds)
        table.add_row(name, f"{middle:.2f}", f"{min(seconds):.2f}", f"{count / middle:.1f}")
    console.print(table)
    share = median(here / there for here, there in zip(*spent.values(), strict=True))
    console.print(f"bucket to bucket reaches {share:.0%} of disk to disk")


if __name__ == "__main__":
    typer.run(main)
