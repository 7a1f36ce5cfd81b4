"""A network under ONNX Runtime, on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..errors import WeightsError


class OnnxRuntimeNetwork:
    """float32 (B, 3, h, w) -> logits float32 (B, C, h', w'), as the network the graph was made from.

    Args:
        graph: an ONNX file of `onnx_graph.write_graph`.
        threads: how many it computes with; None is as many as torch.

    Raises:
        WeightsError: the file cannot be read.
    """

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
        except Exception as error:  # its errors have no class in common
            raise WeightsError(f"{graph}: ONNX Runtime cannot read it; remove the file\n{error}") from error

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        (logits,) = self._session.run(None, {"image": image.contiguous().numpy()})
        return torch.from_numpy(logits)
