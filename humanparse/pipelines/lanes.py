"""Threads that compute on a CPU: each has photos of its own, and its share of torch's threads.

Torch's threads wait for one another after every layer. That costs a small network much, and more while other
threads read and write. Threads with photos of their own wait for nobody. Large networks keep all threads for
one photo: they lose little by waiting, and their maps take much memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from .pipeline import Pipeline

_MOST = 8
"""Most lanes. Each holds the network's maps of a photo; more threads are shared out among them."""


def shares(small: bool, device: torch.device) -> tuple[int, int]:
    """Number of lanes, and of torch's threads in each; a small network has up to eight lanes on a CPU."""
    threads = torch.get_num_threads()
    if not small or device.type != "cpu":
        return 1, threads
    share = -(-threads // _MOST)
    return threads // share, share


@contextmanager
def lanes(pipeline: Pipeline) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """The lanes of a pipeline, and their number.

    Until the end, threads that others start get a lane's share of torch's threads.
    """
    threads, process = torch.get_num_threads(), os.getpid()
    count, share = shares(pipeline.small, pipeline.device)
    pool = ThreadPoolExecutor(count, "humanparse-parse", torch.set_num_threads, (share,))
    try:
        yield pool, count
    finally:
        if os.getpid() == process:  # a forked process has neither the lanes nor torch's threads
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)
