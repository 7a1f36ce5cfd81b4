"""Forked processes lack their parent's threads, and code that waits for those threads never returns.

OpenMP does so: after torch has computed with several threads, it hangs in a forked process unless it is set
to one thread there. Importing this module does not import torch.
"""

from __future__ import annotations

import os
import sys
from threading import get_ident
from typing import Any

from ..errors import DeviceError

SPAWN = 'start workers with multiprocessing.get_context("spawn")'
"""Advice for error messages."""


class _Process:
    """The state of this process.

    Attributes:
        forked: the thread that was running when this process was forked, if torch was loaded by then. It may
            wait for missing threads; threads that start later have their own OpenMP threads.
        threads: torch's number of threads at that time.
        computed: whether torch has computed for us, in this process or before it was forked.
    """

    def __init__(self) -> None:
        self.forked: int | None = None
        self.threads, self.computed = 0, False

    def note_fork(self) -> None:
        torch = sys.modules.get("torch")
        if hasattr(torch, "set_num_threads"):  # else it is not there, or not yet
            self.forked, self.threads = get_ident(), _threads()

    def settle(self) -> None:
        if self.forked == get_ident():
            self.forked = None
            if self.computed or _threads() == self.threads:
                sys.modules["torch"].set_num_threads(1)
        self.computed = True


def _threads() -> int:
    return int(sys.modules["torch"].get_num_threads())


def _is_forked_worker() -> bool:
    """Whether multiprocessing forked this process."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return False
    method = getattr(multiprocessing.current_process(), "_start_method", "")
    return bool(method == "fork" or (method is None and multiprocessing.get_start_method() == "fork"))


_PROCESS = _Process()
if _is_forked_worker():
    # The worker imports this module itself, so what torch did before the fork is unknown.
    _PROCESS.note_fork()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_PROCESS.note_fork)


def settle_after_fork() -> None:
    """Call this before torch computes; in a forked process it sets torch to one thread.

    It does so once, and keeps a number of threads that is set afterwards. It also keeps a number that was set
    between the fork and this call, unless torch had computed for humanparse before the fork.
    """
    _PROCESS.settle()


def check_process(pid: int, what: str) -> None:
    """Check that an object with threads, named `what`, is used in the process that made it."""
    if pid != os.getpid():
        raise DeviceError(
            f"{what} was made before this process was forked, and its threads are missing here; "
            f"make a new one in each worker, or {SPAWN}"
        )
