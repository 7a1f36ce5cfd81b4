"""Computes float32 as float32, whatever precision the process allows torch.

For speed, torch may round the factors of float32 products to TF32 (on GPUs) or bfloat16 (on CPUs), and
autocast replaces float32 by half precision. Autocast is switched off for the calling thread only. The other
settings belong to the process: the first thread that needs exact float32 sets them, the last restores them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any

import torch

from .forks import settle_after_fork

_EXACT = ("ieee", "none")
"""Precisions of an operation that mean float32; "none" is its default."""

_RNN = ("cuda", "rnn")
_OPERATIONS = (_RNN, ("cuda", "conv"), ("cuda", "matmul"), ("mkldnn", "conv"), ("mkldnn", "matmul"))
"""(backend, operation): since torch 2.9 each has a precision. No network here has an RNN, but where
its precision differs from that of `conv`, reading `torch.backends.cudnn.allow_tf32` raises an error."""


def _allow_tf32(allowed: bool) -> None:
    torch._C._set_cudnn_allow_tf32(allowed)  # `torch.backends.cudnn` refuses after `disable_global_flags`


_SWITCHES: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Any]] = {
    "cudnn": (torch._C._get_cudnn_allow_tf32, _allow_tf32, False),
    "matmul": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
}
"""Older switches, in all torches: how each is read and set, and its exact value."""


class ProcessPrecision:
    """The precision settings of the process, kept at exact float32 while any thread needs it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._holders = 0
        self._switches: dict[str, Any] = {}  # values before the change
        self._operations: dict[tuple[str, str], str] = {}

    def take(self) -> None:
        """Set everything that is not exact; settings that others changed since the first call, too."""
        with self._lock:
            self._holders += 1
            readable = _switch("cudnn") is not None
            operations = [key for key in _operations() if readable or key != _RNN]
            values = {key: _precision(*key) for key in operations}
            for key, value in values.items():
                if value not in _EXACT or key not in self._operations:
                    self._operations[key] = value
            for name, (_, write, exact) in _SWITCHES.items():
                value = _switch(name)
                if value not in (None, exact):
                    self._switches[name] = value
                    write(exact)
            for key, value in values.items():
                if value not in _EXACT:
                    _set_precision(*key, "ieee")

    def give_back(self) -> None:
        """When the last holder leaves, restore the settings that nobody else has changed since."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._restore()

    def forget_holders(self) -> None:
        """Call this in a forked process, which lacks the threads that held the settings."""
        self._lock = RLock()
        if self._holders:
            self._holders = 0
            self._restore()

    def _restore(self) -> None:
        ours = {key: value for key, value in self._operations.items() if _precision(*key) in _EXACT}
        for name, value in self._switches.items():
            _, write, exact = _SWITCHES[name]
            if _switch(name) == exact:
                write(value)
        for key, value in ours.items():
            if _precision(*key) != value:
                _set_precision(*key, "none")  # enough if a more general setting says the same
            if _precision(*key) != value:
                _set_precision(*key, value)
        self._switches.clear()
        self._operations.clear()


def _operations() -> tuple[tuple[str, str], ...]:
    return _OPERATIONS if hasattr(torch._C, "_get_fp32_precision_getter") else ()


def _precision(backend: str, operation: str) -> str:
    return str(torch._C._get_fp32_precision_getter(backend, operation))


def _set_precision(backend: str, operation: str, value: str) -> None:
    torch._C._set_fp32_precision_setter(backend, operation, value)


def _switch(name: str) -> Any:
    """The value of an older switch; None if newer settings contradict it, so that torch raises an error."""
    try:
        return _SWITCHES[name][0]()
    except RuntimeError:
        return None


PROCESS = ProcessPrecision()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=PROCESS.forget_holders)


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Compute float32 products as float32 in this thread, on a device and on the CPU.

    Code inside can still choose another precision, by its tensors' type or by its own autocast.
    """
    settle_after_fork()
    with ExitStack() as undo:
        for kind in {"cpu", device.type}:
            if _has_autocast(kind):
                undo.enter_context(torch.autocast(kind, enabled=False))
        PROCESS.take()
        undo.callback(PROCESS.give_back)
        yield


def _has_autocast(kind: str) -> bool:
    available = getattr(torch.amp, "is_autocast_available", None)  # since torch 2.4
    return bool(available(kind)) if available else kind in ("cpu", "cuda")
