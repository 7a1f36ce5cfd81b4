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
from pathlib import Path

import torch  # noqa: F401, before the forks

from humanparse import bulk, parser  # noqa: F401, likewise

FORMATS = ("png", "npz", "tar")


def label(photos: Path, out: Path) -> bulk.Summary:
    """One run with a cheap network, to its end."""
    return bulk.label(
        photos,
        out,
        model=bulk.ModelChoice(device="cpu", test_size=(32, 48)),
        settings=bulk.Settings(formats=FORMATS, batch=4, pack_size=50),
        options=bulk.RunOptions(resume=True, workers=2),
    )


def forked(photos: Path, out: Path, seconds: float) -> bool:
    """Let a fork label for so long, then kill it; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            label(photos, out)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, "a run ended by itself, with an error"
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main(photos: Path, out: Path, kills: int) -> None:
    """Kill runs into OUT/0 until they are through, then into OUT/1, until there were enough kills."""
    moments, killed, number = random.Random(2), 0, 0
    per_round = []
    while killed < kills:
        before = killed
        while not forked(photos, out / str(number), moments.uniform(0.0, 0.7)):
            killed += 1
        per_round.append(killed - before)
        number += 1
    print(json.dumps({"kills": killed, "rounds": per_round}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
