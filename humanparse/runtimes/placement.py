"""Chooses the runtime, the device and the precision of a network.

An unavailable choice raises an error; nothing falls back silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Literal, get_args

import torch

from ..errors import DeviceError
from ..ops.forks import SPAWN
from ..registry import FAMILIES, ModelSpec

Precision = Literal["auto", "float32", "bf16", "fp16"]
Runtime = Literal["auto", "torch", "onnxruntime", "openvino"]

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_PRECISIONS: dict[str, tuple[str, ...]] = {"onnxruntime": ("float32",), "openvino": ("float32", "bf16")}

_PACKAGES: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
}
"""Packages that each runtime needs; the extra with the runtime's name installs them."""


def choose_runtime(
    name: Runtime, device: str, precision: Precision, specs: Iterable[ModelSpec]
) -> tuple[Runtime, str, Precision]:
    """Choose the runtime, and the device and precision to request from it.

    For float32 on the CPU, `"auto"` is the fastest installed runtime, as measured for the model's family (see
    `Family.faster`). On other devices and in half precision it is torch.

    Args:
        name: the user's choice.
        device: the user's choice; runtimes other than torch only take the CPU or `"auto"`.
        precision: the user's choice; OpenVINO computes in float32 or bf16, ONNX Runtime in float32.
        specs: the model's networks.

    Raises:
        DeviceError: the runtime is unknown, not installed, or does not support the device or precision.
    """
    if name not in get_args(Runtime):
        raise DeviceError(f"runtime must be {', '.join(get_args(Runtime))}, not {name!r}")
    if name == "auto":
        name = _fastest(device, precision, specs)
    if name == "torch":
        return "torch", device, precision
    require(name)
    if device not in ("auto", "cpu"):
        raise DeviceError(f"runtime={name!r} runs on the CPU; leave device out, or use runtime='torch'")
    if precision not in ("auto", *_PRECISIONS[name]):
        known = " or ".join(_PRECISIONS[name])
        raise DeviceError(f"runtime={name!r} computes in {known}; for {precision} use runtime='torch'")
    return name, "cpu", precision


def _fastest(device: str, precision: Precision, specs: Iterable[ModelSpec]) -> Runtime:
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    exact = precision in ("auto", "float32")
    if not (on_cpu and exact):
        return "torch"
    first, *others = (FAMILIES[spec.family].faster for spec in specs)
    faster = [runtime for runtime in first if all(runtime in each for each in others)]
    return next((runtime for runtime in faster if not _missing(runtime)), "torch")


def _missing(runtime: str) -> list[str]:
    return [package for package in _PACKAGES[runtime] if find_spec(package) is None]


def require(runtime: str) -> None:
    """Check that the packages of a runtime are installed, without importing them.

    Raises:
        DeviceError: a package is missing; the message names the extra.
    """
    missing = _missing(runtime)
    if missing:
        raise DeviceError(
            f"{runtime} needs {' and '.join(missing)}, which is not installed; "
            f"run: pip install 'humanparse[{runtime}]'"
        )


def choose_device(name: str) -> torch.device:
    """Choose a device by name; `"auto"` is CUDA if it is available, else the CPU.

    Raises:
        DeviceError: the device is unknown or not available, or a forked process cannot use it.
    """
    if name.startswith(("auto", "cuda")) and torch.cuda._is_in_bad_fork() and torch.cuda.device_count():
        raise DeviceError(
            f"this process was forked after CUDA was used, and cannot use it: {SPAWN}, or use device='cpu'"
        )
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"{name} is not available: this torch ({torch.__version__}) finds no CUDA; use device='cpu'"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{name} is not available: there are only {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps is not available: this torch finds no Apple GPU; use device='cpu'")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"{name!r} is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device


def choose_precision(name: Precision, device: torch.device) -> Precision:
    """Choose a precision, a key of `DTYPES`; `"auto"` is fp16 on CUDA, float32 elsewhere.

    Raises:
        DeviceError: the precision is unknown, or the device does not support it.
    """
    if name == "auto":
        return "fp16" if device.type == "cuda" else "float32"
    if name not in DTYPES:
        raise DeviceError(f"precision must be auto, {', '.join(DTYPES)}, not {name!r}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 needs CUDA; on a CPU use bf16 or float32")
    return name
