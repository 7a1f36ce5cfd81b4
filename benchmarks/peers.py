"""One network under torch, ONNX Runtime and OpenVINO: same inputs, same threads, in turn.

python benchmarks/peers.py schp-lip --batch 1 --runs 7
python benchmarks/peers.py fashn --packages         # SegFormer in other packages; see packages.py

"plain" is the network as its paper has it, exported as it is: what one would pick instead of this package.
"folded" has its norms folded, and under torch its convolutions split: what `Parser` runs. Weights are random:
they cost as much. Labels are compared at the network's own grid, where random weights leave many near ties.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from packages import compare, loadable
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from humanparse import image, models, registry
from humanparse.bench import synthetic_photo
from humanparse.geometry import Frame
from humanparse.runtimes.folded import folded, split
from humanparse.runtimes.onnx_graph import write_graph
from humanparse.runtimes.onnxruntime import OnnxRuntimeNetwork
from humanparse.runtimes.openvino import OpenVinoNetwork

Run = Callable[[Tensor], Tensor]


def in_bf16(network: nn.Module) -> Run:
    def run(batch: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = network(batch)
        return logits.float()

    return run


def contenders(network: nn.Module, folder: Path) -> dict[str, Run]:
    """Everything that is compared, the plain network in torch first."""
    fast = folded(deepcopy(network))
    write_graph(network, folder / "plain.onnx", {})
    write_graph(fast, folder / "folded.onnx", {})
    split(fast)
    return {
        "torch float32, plain": network,
        "torch float32, folded": fast,
        "torch bf16, folded": in_bf16(fast),
        "ONNX Runtime float32, plain": OnnxRuntimeNetwork(folder / "plain.onnx"),
        "ONNX Runtime float32, folded": OnnxRuntimeNetwork(folder / "folded.onnx"),
        "OpenVINO float32, plain": OpenVinoNetwork(folder / "plain.onnx"),
        "OpenVINO float32, folded": OpenVinoNetwork(folder / "folded.onnx"),
        **loadable({"OpenVINO bf16, folded": partial(OpenVinoNetwork, folder / "folded.onnx", "bf16")}),
    }


@torch.inference_mode()
def main(
    name: Annotated[str, typer.Argument(help="A model of one network with logits.")] = "schp-lip",
    batch: int = 1,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the photo.")] = "550x830",
    runs: int = 7,
    packages: Annotated[
        bool, typer.Option("--packages", help="Of a SegFormer: other packages, file to labels.")
    ] = False,
) -> None:
    """Print a table of seconds per photo, ratios and differences."""
    spec = registry.network(name)
    width, height = map(int, size.split("x"))
    if packages:
        compare(spec, (width, height), runs)
        return
    torch.manual_seed(0)
    network = models.build(spec).requires_grad_(False)
    pixels = image.load(synthetic_photo(width, height))
    fitted = Frame((height, width), spec.input).fit(pixels).expand(batch, -1, -1, -1).contiguous()
    with TemporaryDirectory() as folder:
        work = contenders(network, Path(folder))
        answers = {title: run(fitted) for title, run in work.items()}  # not counted
        spent: dict[str, list[float]] = {title: [] for title in work}
        for _ in range(runs):
            for title, run in work.items():
                start = time.perf_counter()
                run(fitted)
                spent[title].append((time.perf_counter() - start) / batch)
    plain, *_ = answers.values()
    first, *_ = spent.values()
    table = Table("network", "median s", "best s", "times plain torch", "difference / std", "labels")
    table.title = f"{name}, batch {batch}, {runs} runs in turn, {torch.get_num_threads()} threads"
    for title, seconds in spent.items():
        off = (answers[title] - plain).abs().max() / plain.std()
        same = (answers[title].argmax(dim=1) == plain.argmax(dim=1)).float().mean()
        times = f"{median(seconds):.4f}", f"{min(seconds):.4f}", f"{median(first) / median(seconds):.2f}"
        table.add_row(title, *times, f"{off:.1e}", f"{same:.3%}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
