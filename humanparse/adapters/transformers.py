"""transformers: humanparse with the interfaces of `pipeline("image-segmentation")` and of image processors.

Nothing here imports transformers: arguments and results are plain lists, dicts, PIL images and tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ModelError
from ..geometry import Frame
from ..image import load
from ..parser import Parser
from ..pipelines.semantic import Semantic
from ..results import Parsing
from ..schemes import LabelScheme
from .regions import part_regions


def id2label(scheme: LabelScheme) -> dict[int, str]:
    """Label number -> name, as in a transformers config.

    Examples:
        >>> from humanparse import get_scheme
        >>> from humanparse.adapters.transformers import id2label
        >>> id2label(get_scheme("atr"))[1]
        'Hat'
    """
    return dict(enumerate(scheme.names))


def label2id(scheme: LabelScheme) -> dict[str, int]:
    """Name -> label number, as in a transformers config.

    Examples:
        >>> from humanparse import get_scheme
        >>> from humanparse.adapters.transformers import label2id
        >>> label2id(get_scheme("atr"))["Hat"]
        1
    """
    return {name: label for label, name in enumerate(scheme.names)}


def to_segments(parsing: Parsing, background: bool = True) -> list[dict[str, Any]]:
    """Convert a parsing to the result of `pipeline("image-segmentation")` for one photo.

    Args:
        parsing: the photo's parsing.
        background: whether the background is a segment, as in transformers.

    Returns:
        For each label that is there, in ascending order, a dict: `score` (mean confidence of the label's
        pixels, or None), `label` (its name) and `mask` (PIL image of mode L, 255 on the label, else 0).

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.transformers import to_segments
        >>> to_segments(Parser().predict("examples/grace_hopper.jpg"))[0]["label"]
        'Background'
    """
    found = []
    for region in part_regions(parsing, background):
        picture = Image.fromarray(np.where(region.mask, np.uint8(255), np.uint8(0)))
        found.append({"score": region.score, "label": region.part.name, "mask": picture})
    return found


class SegmentationPipeline:
    """A parser that is called like `transformers.pipeline("image-segmentation")`.

    Args:
        parser: the parser to use; None uses the default model.
        confidence: fill in `score`; transformers' own semantic pipelines leave it None.
        background: whether the background is a segment, as in transformers.

    Examples:
        >>> from humanparse.adapters.transformers import SegmentationPipeline
        >>> segments = SegmentationPipeline()("examples/grace_hopper.jpg")
        >>> "Face" in [segment["label"] for segment in segments]
        True
    """

    task = "image-segmentation"

    def __init__(
        self, parser: Parser | None = None, *, confidence: bool = False, background: bool = True
    ) -> None:
        self.parser = parser or Parser()
        self._confidence, self._background = confidence, background

    def __call__(
        self, inputs: Any = None, *, batch_size: int = 8, subtask: str | None = None, images: Any = None
    ) -> Any:
        """Segment one photo or several.

        Args:
            inputs: a photo in any form `Parser.predict` takes (path, URL, PIL image, …), a list of photos, or
                a generator or other iterator of photos.
            batch_size: photos that go through the network together.
            subtask: None or `"semantic"`.
            images: older name of `inputs`.

        Returns:
            For one photo a list of segments (see `to_segments`), for a list a list of such lists, for an
            iterator an iterator over them.

        Raises:
            ImageError: a photo cannot be read.
            ModelError: unknown `subtask`.
        """
        if subtask not in (None, "semantic"):
            raise ModelError(f'subtask must be "semantic", not {subtask!r}; for people see Parser.predict')
        photos = images if inputs is None else inputs
        if isinstance(photos, list | tuple):
            return list(self._each(photos, batch_size))
        if isinstance(photos, Iterator):
            return self._each(photos, batch_size)
        return next(self._each([photos], 1))

    def _each(self, photos: Iterable[Any], batch_size: int) -> Iterator[list[dict[str, Any]]]:
        found = self.parser.predict_many(photos, batch_size=batch_size, confidence=self._confidence)
        return (to_segments(parsing, self._background) for parsing in found)


@dataclass
class SegmentationOutput:
    """The output of a segmentation model.

    Attributes:
        logits: float32 (B, C, h, w), at the network's own grid.

    Examples:
        >>> import torch
        >>> from humanparse.adapters.transformers import SegmentationOutput
        >>> SegmentationOutput(torch.zeros(1, 18, 4, 4)).logits.shape
        torch.Size([1, 18, 4, 4])
    """

    logits: Tensor


class ImageProcessor:
    """Prepares photos for the bare network and converts its logits, like image processors of transformers.

    The label maps are those of `parser.predict`.

    Args:
        parser: a parser with one network that gives logits, at one scale; None uses the default model.

    Raises:
        ModelError: the model finds people by itself or averages over scales, so it has no single grid of
            logits.

    Examples:
        >>> from humanparse.adapters.transformers import ImageProcessor
        >>> processor = ImageProcessor()
        >>> output = processor.model(**processor("examples/grace_hopper.jpg"))
        >>> [labels] = processor.post_process_semantic_segmentation(output, target_sizes=[(600, 512)])
    """

    def __init__(self, parser: Parser | None = None) -> None:
        parser = parser or Parser()
        network = parser.pipeline
        if parser.finds_people or not isinstance(network, Semantic) or network.scales != (1.0,):
            raise ModelError(
                f"{parser!r} has no single grid of logits: call Parser.predict, or use a model of one "
                "network and leave scales out"
            )
        self._network, self._input = network, network.input
        self.id2label, self.label2id = id2label(parser.scheme), label2id(parser.scheme)

    def __call__(self, images: Any, return_tensors: str = "pt") -> dict[str, Tensor]:
        """Prepare photos for the network.

        Args:
            images: one photo or a list, each in any form `Parser.predict` takes.
            return_tensors: `"pt"`.

        Returns:
            `pixel_values`, float32 (B, 3, h, w).

        Raises:
            ImageError: a photo cannot be read.
            ModelError: the inputs have several sizes, so they do not fit into one batch; or unknown
                `return_tensors`.
        """
        if return_tensors != "pt":
            raise ModelError(f'return_tensors must be "pt" (torch), not {return_tensors!r}')
        photos = [load(one) for one in (images if isinstance(images, list | tuple) else [images])]
        fitted = [Frame((photo.shape[0], photo.shape[1]), self._input).fit(photo) for photo in photos]
        if len({one.shape for one in fitted}) != 1:
            sizes = ", ".join(f"{one.shape[2]}x{one.shape[1]}" for one in fitted) or "none"
            raise ModelError(f"a batch needs inputs of one size, not {sizes}; pass the photos one by one")
        return {"pixel_values": torch.stack(fitted)}

    preprocess = __call__

    def model(self, pixel_values: Tensor) -> SegmentationOutput:
        """The parser's network: float32 (B, 3, h, w) -> `logits`, on the parser's device."""
        with torch.inference_mode():
            return SegmentationOutput(self._network.views(pixel_values.to(self._network.device))[0])

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Sequence[tuple[int, int]] | Tensor | None = None
    ) -> list[Tensor]:
        """Convert logits to a label map for each photo.

        Args:
            outputs: the model's output; it has `logits` (B, C, h, w), as attribute or key.
            target_sizes: (height, width) of each photo; None returns maps at the network's own grid.

        Returns:
            int64 tensors (H, W) on the CPU.

        Raises:
            ModelError: the numbers of sizes and photos differ.
        """
        logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs.logits
        if target_sizes is None:
            return list(logits.argmax(dim=1).cpu())
        sizes = [(int(height), int(width)) for height, width in target_sizes]
        if len(sizes) != len(logits):
            raise ModelError(
                f"there are {len(sizes)} target_sizes for {len(logits)} photos; give one for each"
            )
        frames = [Frame(size, self._input) for size in sizes]
        how = self._network.protocol
        maps = [frame.back(one.float(), how)[0] for frame, one in zip(frames, logits, strict=True)]
        return [torch.from_numpy(labels).to(torch.int64) for labels in maps]
