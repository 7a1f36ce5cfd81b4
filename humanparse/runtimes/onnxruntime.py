"""Runs a network with ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError, WeightsError
from ..impostors import impostor
from ..ops.forks import check_process


class OnnxRuntimeNetwork:
    """A graph in ONNX Runtime: float32 (B, 3, h, w) -> logits float32 (B, C, h', w').

    Args:
        graph: an ONNX file of `onnx_graph.write_graph`.

    Raises:
        WeightsError: the file cannot be read.
        DeviceError: it is called in a process that was forked after it was made.
    """

    def __init__(self, graph: Path) -> None:
        self._graph, self._pid = graph, os.getpid()
        self._session = _session(graph, "ONNX Runtime cannot read it; remove the file")

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxRuntimeNetwork, (self._graph,)  # sessions cannot be pickled; each process makes its own

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.outputs(image)[0]

    def outputs(self, image: Tensor) -> tuple[Tensor, ...]:
        """All outputs of the graph, the logits first."""
        check_process(self._pid, "this Parser with runtime='onnxruntime'")
        found = self._session.run(None, {"image": image.contiguous().numpy()})
        return tuple(torch.from_numpy(output) for output in found)


class OnnxFile:
    """A user's ONNX file of a network: float32 (B, 3, h, w) -> logits float32 (B, C, h', w').

    Names of inputs and outputs do not matter. If several outputs have C channels, the one that depends on
    most of the graph is taken: SCHP's exports also output the parsing from before fusion.

    Args:
        path: the file, with one input (N, 3, H, W) in float32 or float16.
        classes: C.
        size: (H, W) of the inputs that it will get.

    Raises:
        WeightsError: the file cannot be read, or has no such input or output.
        ModelError: it is called with an input of another size than it was made for.
        DeviceError: it is called in a process that was forked after it was made.
    """

    def __init__(self, path: Path, classes: int, size: tuple[int, int]) -> None:
        self._made = path, classes, size
        self._pid = os.getpid()
        if (told := impostor(path)) is not None:
            raise WeightsError(f"{path} is {told}")
        unread = (
            f"cut off or damaged, {path.stat().st_size} bytes, ONNX Runtime cannot read it; get another copy"
        )
        self.path, self._session = path, _session(path, unread)
        inputs = self._session.get_inputs()
        self._input, shape = inputs[0], inputs[0].shape
        if (
            len(inputs) > 1
            or len(shape) != 4
            or shape[1] != 3
            or (isinstance(shape[0], int) and shape[0] != 1)
        ):
            found = ", ".join(f"{value.name} {value.shape}" for value in inputs)
            raise WeightsError(f"{path}: its inputs are {found}; expected is one picture (N, 3, H, W)")
        self._dtype = torch.float16 if self._input.type == "tensor(float16)" else torch.float32
        self._check_size(size, WeightsError)
        self.output = self._logits(classes)

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxFile, self._made

    def __repr__(self) -> str:
        return f"{self.path.name}, output {self.output} of {len(self._session.get_outputs())}"

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        check_process(self._pid, f"this Parser of {self.path.name}")
        self._check_size((image.shape[2], image.shape[3]), ModelError)
        batches = torch.split(image, 1) if self._input.shape[0] == 1 else (image,)
        return torch.cat([self._run(batch) for batch in batches])

    def _run(self, image: Tensor) -> Tensor:
        pixels = image.to(self._dtype).contiguous().numpy()
        (found,) = self._session.run([self.output], {self._input.name: pixels})
        return torch.from_numpy(found).float()

    def _check_size(self, size: tuple[int, int], kind: type[ModelError | WeightsError]) -> None:
        fixed = tuple(self._input.shape[2:])
        if any(isinstance(own, int) and own != given for own, given in zip(fixed, size, strict=True)):
            raise kind(
                f"{self.path} only takes pictures of {fixed[0]}x{fixed[1]}, not {size[0]}x{size[1]}: name "
                "the model that it was made from, and leave scales and test_size out"
            )

    def _logits(self, classes: int) -> str:
        """Name of the output with the logits."""
        maps = {value.name: value.shape[1] for value in self._session.get_outputs() if len(value.shape) == 4}
        fitting = [name for name, channels in maps.items() if channels == classes]
        if not fitting:
            found = ", ".join(f"{name} of {channels} channels" for name, channels in maps.items())
            raise WeightsError(
                f"{self.path}: no output has {classes} channels, one for each label; it has "
                f"{found or 'no map'}"
            )
        return fitting[0] if len(fitting) == 1 else _last_of(self.path, fitting)


def _session(path: Path, unread: str) -> Any:
    """A session of a graph; `unread` says what to do if there can be none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise WeightsError(f"{path}: {unread}\n{error}") from error


def _last_of(path: Path, outputs: Sequence[str]) -> str:
    """The output that depends on most nodes; at a tie the second, SCHP's fused logits."""
    import onnx

    makers = {name: node for node in onnx.load(str(path)).graph.node for name in node.output}
    counts = []
    for output in outputs:
        seen: set[str] = set()
        waiting = [output]
        while waiting:
            name = waiting.pop()
            if name in makers and name not in seen:
                seen.add(name)
                waiting.extend(makers[name].input)
        counts.append(len(seen))
    most = max(counts)
    if counts.count(most) == len(counts):
        return outputs[1]
    return outputs[counts.index(most)]
