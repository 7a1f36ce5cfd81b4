"""Runs of `bulk.label`, each in a process of its own that is killed at a random moment; prints what happened.

python tests/killed_runs.py PHOTOS OUT KILLS

torch is imported once: the runs are forks of this process, so that a kill costs tenths of a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch  # noqa: F401, before the forks

from humanparse import ParserOptions, bulk, parser  # noqa: F401, likewise

FORMATS = ("png", "npz", "tar")


def label(photos: Path, out: Path) -> bulk.Summary:
    """One run with a cheap network, to its end."""
    return bulk.label(
        photos,
        out,
        model=ParserOptions(device="cpu", test_size=(32, 48)),
        settings=bulk.Settings(formats=FORMATS, batch=4, pack_size=50),
        options=bulk.RunOptions(resume=True, workers=2),
    )


def forked(run: Callable[[], object], enough: Callable[[], bool]) -> bool:
    """Let a fork do a run until it is enough, then kill it; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            run()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    while not enough():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, "a run ended by itself, with an error"
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def main(photos: Path, out: Path, kills: int) -> None:
    """Kill runs into OUT/0 until they are through, then into OUT/1, until there were enough kills."""
    moments, killed, number = random.Random(2), 0, 0
    per_round = []
    while killed < kills:
        before = killed
        run = partial(label, photos, out / str(number))
        while not forked(run, after(moments.uniform(0.0, 0.7))):
            killed += 1
        per_round.append(killed - before)
        number += 1
    print(json.dumps({"kills": killed, "rounds": per_round}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
