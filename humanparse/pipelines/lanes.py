"""Threads that compute on a CPU: each has photos of its own, and its share of torch's threads.

Torch's threads wait for one another after every layer. That costs much for a small network, and more while
other threads read and write. Threads with photos of their own wait for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

_MOST = 8
"""Most lanes. Each holds the network's maps of a photo; more threads are shared out among them."""


def shares(device: torch.device) -> tuple[int, int]:
    """Number of lanes (on a CPU one per thread, at most eight; else one), and of torch's threads in each."""
    threads = torch.get_num_threads()
    count = min(threads, _MOST) if device.type == "cpu" else 1
    return count, threads // count


@contextmanager
def lanes(device: torch.device) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """The lanes, and their number.

    Until the end, threads that others start get a lane's share of torch's threads.
    """
    threads, (count, share), process = torch.get_num_threads(), shares(device), os.getpid()
    pool = ThreadPoolExecutor(count, "humanparse-parse", torch.set_num_threads, (share,))
    try:
        yield pool, count
    finally:
        if os.getpid() == process:  # a forked process has neither the lanes nor torch's threads
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)
