"""SegFormer in other packages: file to labels, same weights, same photo, same threads, in turn.

python benchmarks/peers.py segformer-b2-clothes --packages
python benchmarks/peers.py fashn --packages

Weights are random, and written in the hub's form for all of them. "labels" is the share of the pixels with
the labels of the first line, "clear" the same among those whose two best logits differ by 0.001 or more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import DeviceError, Parser
from humanparse.bench import synthetic_photo
from humanparse.registry import ModelSpec

Run = Callable[[], npt.NDArray[Any]]


def write(spec: ModelSpec, folder: Path) -> Any:
    """A folder as on the hub, of a network whose labels vary; gives transformers' network of it."""
    import transformers

    architecture = spec.architecture
    config = transformers.SegformerConfig(
        depths=list(architecture["depths"]),
        hidden_sizes=list(architecture["widths"]),
        decoder_hidden_size=architecture["decoder"],
        id2label=dict(enumerate(spec.scheme.names)),
    )
    torch.manual_seed(0)
    network = transformers.SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
    network.save_pretrained(folder)
    return network


def theirs(spec: ModelSpec, network: Any, folder: Path, photo: Path) -> dict[str, Run]:
    """The other packages, from the photo's file; the package of the model's own authors first."""
    import transformers

    kind = getattr(transformers, "SegformerImageProcessorPil", transformers.SegformerImageProcessor)
    height, width = spec.input.size
    processor = kind(size={"height": height, "width": width})
    segments = transformers.pipeline(
        "image-segmentation", model=network, image_processor=processor, device="cpu"
    )

    def by_pipeline() -> npt.NDArray[Any]:
        found = segments(Image.open(photo))
        labels = np.zeros(found[0]["mask"].size[::-1], dtype=np.uint8)
        for segment in found:
            labels[np.asarray(segment["mask"]) > 0] = spec.scheme.index(segment["label"])
        return labels

    def by_model() -> npt.NDArray[Any]:
        with Image.open(photo) as picture:
            inputs, size = processor(images=picture, return_tensors="pt"), picture.size[::-1]
        with torch.inference_mode():
            found = processor.post_process_semantic_segmentation(network(**inputs), target_sizes=[size])
        return np.asarray(found[0])

    runs = {"transformers, pipeline": by_pipeline, "transformers, model and processor": by_model}
    if spec.name != "fashn":
        return runs
    from fashn_human_parser import FashnHumanParser

    own = FashnHumanParser(str(folder), device="cpu")
    return {"fashn-human-parser": lambda: own.predict(str(photo)), **runs}


def ours(spec: ModelSpec, folder: Path, photo: Path) -> dict[str, Run]:
    """Ours, under each runtime and precision."""
    ways = [("torch", "float32"), ("onnxruntime", "float32"), ("openvino", "float32")]
    ways += [("torch", "bf16"), ("openvino", "bf16")]
    file = folder / "model.safetensors"
    parsers = loadable(
        {
            f"humanparse, {runtime} {precision}": partial(
                Parser, spec.name, weights=file, device="cpu", runtime=runtime, precision=precision
            )
            for runtime, precision in ways
        }
    )
    return {
        title: lambda parser=parser: parser.predict(photo).labels  # type: ignore[misc]
        for title, parser in parsers.items()
    }


def loadable(makers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What can be made on this CPU; prints why the others cannot, such as OpenVINO in bf16 on some CPUs."""
    made = {}
    for title, make in makers.items():
        try:
            made[title] = make()
        except DeviceError as error:
            Console().print(f"{title}: {error}")
    return made


def compare(spec: ModelSpec, size: tuple[int, int], runs: int) -> None:
    """Print a table of seconds per photo, ratios and labels kept.

    Args:
        spec: a SegFormer.
        size: (width, height) of the photo.
        runs: how often each is timed, in turn, after one time that is not counted.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photo = folder / "photo.jpg"
        photo.write_bytes(synthetic_photo(*size))
        network = write(spec, folder)
        work = {**theirs(spec, network, folder, photo), **ours(spec, folder, photo)}
        answers = {title: run() for title, run in work.items()}  # not counted
        logits = Parser(spec.name, weights=folder / "model.safetensors", device="cpu").predict(
            photo, keep_logits=True
        )
        clear = _clear(torch.from_numpy(logits.logits)[None], size[::-1])
        spent: dict[str, list[float]] = {title: [] for title in work}
        for _ in range(runs):
            for title, run in work.items():
                start = time.perf_counter()
                run()
                spent[title].append(time.perf_counter() - start)
    first, times = next(iter(answers.values())), next(iter(spent.values()))
    table = Table("file to labels", "median s", "best s", "times the first", "labels", "clear")
    table.title = f"{spec.name}, photo {size[0]}x{size[1]}, {runs} runs, {torch.get_num_threads()} threads"
    for title, seconds in spent.items():
        same = answers[title] == first
        kept = f"{same.mean():.3%}", f"{same[clear].mean():.3%}"
        ratio = f"{median(times) / median(seconds):.2f}"
        table.add_row(title, f"{median(seconds):.3f}", f"{min(seconds):.3f}", ratio, *kept)
    Console().print(table)


def _clear(logits: torch.Tensor, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    large = torch.nn.functional.interpolate(logits, size, mode="bilinear")[0]
    best, second = large.topk(2, dim=0).values
    return (best - second >= 1e-3).numpy()
