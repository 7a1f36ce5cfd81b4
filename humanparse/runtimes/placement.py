"""Where and how a network runs: runtime, device, precision. What is not there is an error, never replaced."""

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
"""What a runtime needs; all of it comes with the extra of the runtime's name."""


def choose_runtime(
    name: Runtime, device: str, precision: Precision, specs: Iterable[ModelSpec]
) -> tuple[Runtime, str, Precision]:
    """The runtime, and the device and precision to ask for with it.

    `"auto"` is the fastest installed runtime in float32 on the CPU, as measured for the model's family (see
    `Family.faster`); it is torch on other devices and in half precision.

    Args:
        name: as the user gave it.
        device: as the user gave it; other runtimes than torch run on the CPU, so it must be that or `"auto"`.
        precision: as the user gave it; OpenVINO computes in float32 or bf16, ONNX Runtime in float32.
        specs: the model's networks.

    Raises:
        DeviceError: unknown, not installed, or not for this device or precision.
    """
    if name not in get_args(Runtime):
        raise DeviceError(f"runtime must be {', '.join(get_args(Runtime))}, not {name!r}")
    if name == "auto":
        name = _fastest(device, precision, specs)
    if name == "torch":
        return "torch", device, precision
    require(name)
    if device not in ("auto", "cpu"):
        raise DeviceError(f"runtime={name!r} runs on the CPU; leave device out, or take runtime='torch'")
    if precision not in ("auto", *_PRECISIONS[name]):
        known = " or ".join(_PRECISIONS[name])
        raise DeviceError(f"runtime={name!r} computes in {known}; for {precision} take runtime='torch'")
    return name, "cpu", precision


def choose_for_onnx(name: Runtime) -> Runtime:
    """The runtime for weights that are an ONNX file: ONNX Runtime.

    Raises:
        DeviceError: another one is asked for.
    """
    if name == "openvino":
        raise DeviceError("an ONNX file is run by ONNX Runtime; leave `runtime` out")
    return "onnxruntime"


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
    """See that the packages of a runtime are installed, without importing them.

    Raises:
        DeviceError: they are not; the message names the extra.
    """
    missing = _missing(runtime)
    if missing:
        raise DeviceError(
            f"{runtime} needs {' and '.join(missing)}, not installed here; "
            f"run: pip install 'humanparse[{runtime}]'"
        )


def choose_device(name: str) -> torch.device:
    """The device of that name; `"auto"` is CUDA when it is there, else the CPU.

    Raises:
        DeviceError: no device, or not here; or one that a forked process cannot use.
    """
    if name.startswith(("auto", "cuda")) and torch.cuda._is_in_bad_fork() and torch.cuda.device_count():
        raise DeviceError(
            f"this process was forked after CUDA was used, and cannot use it: {SPAWN}, or take device='cpu'"
        )
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"{name} was asked for, but this torch ({torch.__version__}) sees no CUDA; use device='cpu'"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{name} was asked for, but there are {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps was asked for, but this torch sees no Apple GPU; use device='cpu'")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"{name!r} is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device


def choose_precision(name: Precision, device: torch.device) -> str:
    """A key of `DTYPES`; `"auto"` is fp16 on CUDA, float32 elsewhere.

    Raises:
        DeviceError: unknown, or not for this device.
    """
    if name == "auto":
        return "fp16" if device.type == "cuda" else "float32"
    if name not in DTYPES:
        raise DeviceError(f"precision must be auto, {', '.join(DTYPES)}, not {name!r}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 needs CUDA; on a CPU use bf16 or float32")
    return name
