"""Runs a network with OpenVINO, on the CPU."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ..durable import replacing
from ..errors import DeviceError, WeightsError
from ..ops.forks import check_process

_PRECISIONS = {"float32": "f32", "bf16": "bf16"}


class OpenVinoNetwork:
    """A graph in OpenVINO: float32 (B, 3, h, w) -> logits float32 (B, C, h', w').

    It computes one call at a time; other calls wait.

    Args:
        graph: an ONNX file of `onnx_graph.write_graph`, or OpenVINO's own `.xml`.
        precision: precision of the matrix products, `"float32"` or `"bf16"`.
        keep: whether to cache the compiled graph in a file beside it, which makes later starts faster.

    Raises:
        DeviceError: this CPU has no bf16; or it is called in a process that was forked after it was made.
        WeightsError: the file cannot be read, or the file beside it cannot be written.
    """

    def __init__(self, graph: Path, precision: str = "float32", keep: bool = False) -> None:
        self._made = graph, precision, keep
        self._pid = os.getpid()
        core = _core(self._pid)
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DeviceError("OpenVINO has no bf16 on this CPU; use float32, or runtime='torch'")
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # OpenVINO itself would choose bf16 if the CPU supports it
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        }
        compiled = _kept(core, graph, options) if keep else _compiled(core, graph, options)
        self._request, self._lock = compiled.create_infer_request(), Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenVinoNetwork, self._made  # requests cannot be pickled; each process makes its own

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.outputs(image)[0]

    def outputs(self, image: Tensor) -> tuple[Tensor, ...]:
        """All outputs of the graph, the logits first."""
        check_process(self._pid, "this Parser with runtime='openvino'")
        with self._lock:
            found = self._request.infer({0: image.contiguous().numpy()}, share_inputs=True)
        return tuple(torch.from_numpy(output) for output in found.values())


@functools.cache
def _core(pid: int) -> Any:
    """OpenVINO's core of this process, which is never given up.

    A core's CPU plugin replaces the thread's stack for signals, and puts the former one back when the core
    ends. Two cores that do not end in reverse order leave the thread a freed stack: the next signal kills the
    process.
    """
    import openvino

    return openvino.Core()


def _compiled(core: Any, graph: Path, options: dict[str, Any]) -> Any:
    try:
        return core.compile_model(graph, "CPU", options)
    except RuntimeError as error:
        raise WeightsError(f"{graph}: OpenVINO cannot read it; remove the file\n{error}") from error


def _kept(core: Any, graph: Path, options: dict[str, Any]) -> Any:
    """The compiled graph, from a file beside it that the first call writes for this CPU and OpenVINO."""
    import openvino

    cpu = [core.get_property("CPU", key) for key in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    made = json.dumps([openvino.__version__, cpu, options])
    kept = graph.with_suffix(f".{hashlib.sha256(made.encode()).hexdigest()[:16]}.blob")
    if kept.is_file():
        try:
            return core.import_model(kept.read_bytes(), "CPU", options)
        except RuntimeError:  # the cache file is damaged; it is written again
            kept.unlink(missing_ok=True)
    compiled = _compiled(core, graph, options)
    try:
        with replacing(kept) as part:
            part.write_bytes(compiled.export_model().getvalue())
    except OSError as error:
        raise WeightsError(f"cannot write {kept}: {error}; free some space") from error
    return compiled


def write_openvino(graph: Path, path: Path, metadata: dict[str, str]) -> None:
    """Convert an ONNX graph to OpenVINO's own format: an .xml file, and a .bin beside it.

    The metadata are in the model's runtime information, under `humanparse`.
    """
    import openvino

    model = _core(os.getpid()).read_model(graph)
    for key, value in metadata.items():
        model.set_rt_info(value, ["humanparse", key])
    try:
        with TemporaryDirectory(dir=path.parent) as folder:
            whole = Path(folder) / path.name
            openvino.save_model(model, whole, compress_to_fp16=False)
            for ending in (".bin", ".xml"):
                os.replace(whole.with_suffix(ending), path.with_suffix(ending))
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot write {path}: {error}; free some space or choose another folder"
        ) from error
