"""A network under OpenVINO, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ..errors import DeviceError, WeightsError
from ..ops.forks import check_process

_PRECISIONS = {"float32": "f32", "bf16": "bf16"}


class OpenVinoNetwork:
    """float32 (B, 3, h, w) -> logits float32 (B, C, h', w'), as the network the graph was made from.

    One call at a time: others wait.

    Args:
        graph: an ONNX file of `onnx_graph.write_graph`, or OpenVINO's own `.xml`.
        precision: `"float32"` or `"bf16"`, of the matrix products.
        threads: how many it computes with; None is as many as torch.

    Raises:
        DeviceError: this CPU does not compute in bf16; or, when called, this process was forked after it was
            made.
        WeightsError: the file cannot be read.
    """

    def __init__(self, graph: Path, precision: str = "float32", threads: int | None = None) -> None:
        import openvino

        self._made = graph, precision, threads
        self._pid = os.getpid()
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DeviceError("OpenVINO has no bf16 on this CPU; take float32, or runtime='torch'")
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": _PRECISIONS[
                precision
            ],  # its own choice would be bf16 where the CPU has it
        }
        try:
            compiled = core.compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise WeightsError(f"{graph}: OpenVINO cannot read it; remove the file\n{error}") from error
        self._request, self._lock = compiled.create_infer_request(), Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenVinoNetwork, self._made  # requests cannot be pickled; each process makes its own

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        check_process(self._pid, "this Parser with runtime='openvino'")
        with self._lock:
            (logits,) = self._request.infer({0: image.contiguous().numpy()}, share_inputs=True).values()
        return torch.from_numpy(logits)


def write_openvino(graph: Path, path: Path, metadata: dict[str, str]) -> None:
    """Write an ONNX graph in OpenVINO's own form: `path`, whose name ends in .xml, and a .bin beside it.

    Args:
        graph: an ONNX file.
        path: the file to write.
        metadata: kept in the model's runtime information, under `humanparse`.

    Raises:
        WeightsError: the file cannot be written.
    """
    import openvino

    model = openvino.Core().read_model(graph)
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
