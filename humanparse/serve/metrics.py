"""Counters of the service for Prometheus, summed over all worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

MEDIA_TYPE = CONTENT_TYPE_LATEST
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which worker processes share their counters."""

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one service; its gauges show what `waiting` and `held` return."""

    def __init__(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._answers = Counter(
            "humanparse_answers",
            "Answers to /v1/parse, by model, format and status.",
            ("model", "format", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "humanparse_request_seconds",
            "Time from the end of the upload to the answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "humanparse_batch_photos", "Photos per batch.", ("model",), buckets=_SIZES, registry=registry
        )
        self._network = Histogram(
            "humanparse_batch_seconds",
            "Time to parse a batch.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        gauges = (
            ("humanparse_photos_waiting", "Photos that wait or are being parsed.", waiting),
            ("humanparse_held_bytes", "Bytes of uploads and unsent answers held.", held),
        )
        self._gauges = [
            (Gauge(name, about, multiprocess_mode="livesum", registry=registry), value)
            for name, about, value in gauges
        ]

    def answered(self, model: str, kind: str, status: int) -> None:
        """Count an answer; 499 is a caller that left before it."""
        self._answers.labels(model, kind, str(status)).inc()

    def took(self, seconds: float) -> None:
        """Note the time of an answer."""
        self._seconds.observe(seconds)

    def batch(self, model: str, photos: int, seconds: float) -> None:
        """Note a batch."""
        self._batches.labels(model).observe(photos)
        self._network.labels(model).observe(seconds)

    def sample(self) -> None:
        """Update the gauges, so that other processes read their present values."""
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """All counters in Prometheus' text format."""
        self.sample()
        folder = os.environ.get(FOLDER)
        if not folder:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of processes that are gone; their counters stay."""
    for file in folder.glob("gauge_live*_*.db"):
        number = file.stem.rpartition("_")[2]
        if number.isdecimal() and not _is_running(int(number)):
            file.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if sys.platform == "win32":  # there os.kill(process, 0) would send Ctrl-C
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)  # QUERY_LIMITED_INFORMATION
        code = ctypes.c_ulong()
        known = bool(handle) and ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(known) and code.value == 259  # STILL_ACTIVE
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
