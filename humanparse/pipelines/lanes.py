"""Threads that compute on a CPU: each has photos of its own, and its share of torch's threads.

Torch's threads wait for one another after every layer. That costs much for a small network, and more while
other threads read and write. Threads with photos of their own wait for nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

_MOST = 8
"""Most lanes. Each holds the network's maps of a photo; more threads are shared out among them."""


@contextmanager
def lanes(device: torch.device) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Threads that compute, and their number: one per thread of torch on a CPU, at most eight; else one.

    Until the end, threads that others start get the lanes' share of torch's threads.
    """
    threads = torch.get_num_threads()
    count = min(threads, _MOST) if device.type == "cpu" else 1
    share = (threads // count,)
    pool = ThreadPoolExecutor(count, "humanparse-parse", torch.set_num_threads, share)
    try:
        yield pool, count
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
