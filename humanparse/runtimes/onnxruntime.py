"""A network under ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..ops.forks import check_process


class OnnxRuntimeNetwork:
    """float32 (B, 3, h, w) -> logits float32 (B, C, h', w'), as the network the graph was made from.

    Args:
        graph: an ONNX file of `onnx_graph.write_graph`.
        threads: how many it computes with; None is as many as torch.

    Raises:
        WeightsError: the file cannot be read.
        DeviceError: when called in a process that was forked after it was made.
    """

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        import onnxruntime

        self._made = graph, threads
        self._pid = os.getpid()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
        except Exception as error:  # its errors have no class in common
            raise WeightsError(f"{graph}: ONNX Runtime cannot read it; remove the file\n{error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxRuntimeNetwork, self._made  # sessions cannot be pickled; each process makes its own

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.outputs(image)[0]

    def outputs(self, image: Tensor) -> tuple[Tensor, ...]:
        """All outputs of the graph, the logits first."""
        check_process(self._pid, "this Parser with runtime='onnxruntime'")
        found = self._session.run(None, {"image": image.contiguous().numpy()})
        return tuple(torch.from_numpy(output) for output in found)
