"""`humanparse label` from bucket to bucket against disk to disk, and what listing a large bucket takes.

python benchmarks/remote.py --count 120 --runs 3
python benchmarks/remote.py --list-only 1000000

The bucket is on an S3 server of this machine (moto, a process of its own), which takes its share of cores.
Many objects are listed by another server, which makes each page when it is asked for; the time to the first
label includes loading the model. Needs `pip install "humanparse[remote]" "moto[server]"`.
"""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import typer
from bulk import portraits
from rich.console import Console
from rich.table import Table

from humanparse import ParserOptions, bulk, remote

ROOT = "s3://benchmark-bucket"


def set_environment(port: str) -> None:
    """Lead to an S3 server on this machine."""
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(keys, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")


@contextmanager
def server() -> Iterator[None]:
    """An S3 server on this machine; the environment leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    set_environment(port)
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


class Listing(BaseHTTPRequestHandler):
    """An S3 server of one bucket, whose listing is made page by page; all its objects are one photo."""

    protocol_version = "HTTP/1.1"
    count = 0
    photo = (Path(__file__).parents[1] / "examples" / "grace_hopper.jpg").read_bytes()

    def do_GET(self) -> None:
        """A page of the listing, or the photo."""
        url = urlsplit(self.path)
        if "list-type" not in (asked := parse_qs(url.query)):
            return self._send(self.photo, "image/jpeg")
        start = int(asked.get("continuation-token", ["0"])[0])
        end = min(self.count, start + int(asked["max-keys"][0]))
        etag = f"<ETag>&quot;{hashlib.md5(self.photo).hexdigest()}&quot;</ETag><Size>{len(self.photo)}</Size>"
        found = "".join(
            f"<Contents><Key>photos/{number // 1000:05d}/{number:08d}.jpg</Key>{etag}</Contents>"
            for number in range(start, end)
        )
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < self.count else ""
        truncated = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        page = f"<ListBucketResult>{truncated}{more}{found}</ListBucketResult>"
        return self._send(page.encode(), "application/xml")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def serve(count: int) -> None:
    """Serve so many objects until this process is ended; the first line printed is the port."""
    Listing.count = count
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def listing(count: int) -> None:
    """Print seconds to the first label and until all is listed, and the peak of memory in MB.

    Labels one photo after the other until the listing is through. In a fresh process, for its peak.
    """
    command = [sys.executable, __file__, "--serve-only", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        set_environment(process.stdout.readline().strip())
        first = through = 0.0
        begin = time.perf_counter()

        def progress(now: bulk.Progress) -> None:
            nonlocal first, through
            first = first or (time.perf_counter() - begin if now.fresh else 0.0)
            through = through or (time.perf_counter() - begin if now.counts.total == count else 0.0)

        options = bulk.RunOptions(progress=progress, stopping=lambda: through > 0 and first > 0)
        choice, settings = ParserOptions(device="cpu"), bulk.Settings(batch=1)
        try:
            with TemporaryDirectory() as folder:
                bulk.label(f"{ROOT}/photos", folder, model=choice, settings=settings, options=options)
        finally:
            process.terminate()
    print(f"{first:.1f} {through:.1f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def main(
    count: int = 120, runs: int = 3, most: int = 1_000_000, list_only: int = 0, serve_only: int = 0
) -> None:
    """Print two tables; or, of one number of objects, the line of the first table, or serve them."""
    if serve_only:
        return serve(serve_only)
    if list_only:
        return listing(list_only)
    console = Console()
    table = Table("objects", "first label s", "all listed s", "peak MB", title="label from a large bucket")
    for number in (one for one in (100, 10_000, 1_000_000) if one <= most):
        again = [sys.executable, __file__, "--list-only", str(number)]
        table.add_row(f"{number:,}", *subprocess.check_output(again, encoding="utf-8").split())
    console.print(table)
    spent: dict[str, list[float]] = {"disk to disk": [], "bucket to bucket": []}
    choice = ParserOptions(device="cpu")
    with TemporaryDirectory() as folder, server():
        os.environ["HUMANPARSE_HOME"] = folder
        photos = portraits(Path(folder) / "photos", count, "480x600")
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
