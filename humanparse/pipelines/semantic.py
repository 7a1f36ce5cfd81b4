"""One network, one picture, one label map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import Labels, Picture
from ..errors import ModelError
from ..geometry import Frame, Protocols
from ..ops.bilinear import bilinear
from ..ops.float32 import exact_float32
from ..people import Person
from ..reduction import Size, reducing
from ..registry import InputSpec
from ..results import Parsing
from ..schemes import LabelScheme
from .pipeline import Pipeline

Output = TypeVar("Output")

_SPARE = 2.0
"""A photo is decoded at least this many times as large as the network sees it. With 1.0, a photo of 12
megapixels is read 1.2 times as fast, but twice as many labels differ."""

Change = Callable[[Tensor, Tensor], Tensor]
"""Takes a photo's logits (C, h, w) and its input (3, h', w'); returns changed logits of the same shape."""

Finder = Callable[[Labels], tuple[Person, ...]]
"""Takes a photo's labels (H, W); returns its people."""


@dataclass(frozen=True)
class Fitted:
    """A picture prepared for the network: its frame, and float32 (3, h, w) on the network's device."""

    frame: Frame
    pixels: Tensor


@dataclass(frozen=True)
class Semantic(Pipeline):
    """A loaded network with all options that affect its result.

    Attributes:
        name: the model's name.
        network: float32 (B, 3, h, w) -> float32 logits (B, C, h', w'), on `device`.
        scheme: the label scheme; its pairs are the channels that swap in a mirrored picture.
        input: the network's input.
        device: where it runs.
        flip: whether to average with the mirrored picture.
        scales: sizes of the input, relative to its own; logits are averaged over them.
        protocol: see `Frame.back`.
        fast_decode: whether `read` decodes JPEGs at a reduced size if that is large enough for the network.
        small: see `Pipeline`.
    """

    shares_passes: ClassVar[bool] = True

    name: str
    network: Callable[[Tensor], Tensor]
    scheme: LabelScheme
    input: InputSpec
    device: torch.device
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    protocol: Protocols = "extract"
    fast_decode: bool = False
    small: bool = False

    @property
    def unusual(self) -> list[str]:
        """In words, the options that are other than usual."""
        said = ["fast decode"] if self.fast_decode else []
        said += [f"flip={self.flip}"] if self.flip else []
        return said + ([f"scales={self.scales}"] if self.scales != (1.0,) else [])

    def prepare(self, picture: Picture) -> Fitted:
        """See `Pipeline.prepare`."""
        return self._fitted((picture.shape[0], picture.shape[1]), picture)

    def read(self, load: Callable[[], Picture]) -> Fitted:
        """See `Pipeline.read`."""
        if not self.fast_decode:
            return self.prepare(load())
        with reducing(self._enough) as reduction:
            picture = load()
        return self._fitted(reduction.size or (picture.shape[0], picture.shape[1]), picture)

    def _fitted(self, size: Size, picture: Picture) -> Fitted:
        frame = Frame(size, self.input)
        return Fitted(frame, frame.fit(picture, self.device))

    def _enough(self, size: Size) -> Size:
        """How small a photo may be decoded: `_SPARE` times as large as the network sees it."""
        spare = _SPARE * max(1.0, *self.scales)
        height, width = (max(1, math.ceil(side * spare)) for side in Frame(size, self.input).resolved)
        return height, width

    def start(
        self,
        batch: Sequence[Fitted],
        keep_logits: bool = False,
        confidence: bool = False,
        change: Change | None = None,
    ) -> Callable[[], list[Parsing]]:
        """See `Pipeline.start`; `passes` tells which pictures share a pass.

        Args:
            batch, keep_logits, confidence: as for `Pipeline.start`.
            change: changes the logits of each picture, one after the other.
        """
        coming = []
        for numbers in passes([one.frame for one in batch], self.device):
            frames = [batch[number].frame for number in numbers]
            fitted = torch.stack([batch[number].pixels for number in numbers])
            coming.append((numbers, self.pass_through(frames, fitted, keep_logits, confidence, change)))

        def parsings() -> list[Parsing]:
            found: dict[int, Parsing] = {}
            for numbers, fetch in coming:
                found.update(zip(numbers, fetch(), strict=True))
            return [found[number] for number in range(len(batch))]

        return parsings

    @torch.inference_mode()
    def pass_through(
        self,
        frames: Sequence[Frame],
        fitted: Tensor,
        keep_logits: bool,
        confidence: bool,
        change: Change | None,
    ) -> Callable[[], list[Parsing]]:
        """Like `start`, for pictures' frames and their inputs of one size, float32 (B, 3, h, w)."""
        views, finders = self.seen(frames, fitted, change)
        return self.bring_back(frames, views, keep_logits, confidence, finders)

    def seen(
        self, frames: Sequence[Frame], fitted: Tensor, change: Change | None
    ) -> tuple[Sequence[Tensor], Sequence[Finder] | None]:
        """The logits of each scale as `change` leaves them, and what finds the people of each picture."""
        return changed(frames, fitted, self.views(fitted), change), None

    def bring_back(
        self,
        frames: Sequence[Frame],
        batch: Sequence[Tensor],
        keep_logits: bool = False,
        confidence: bool = False,
        finders: Sequence[Finder] | None = None,
    ) -> Callable[[], list[Parsing]]:
        """Bring logits back to the photos.

        Args:
            frames: the photos' frames.
            batch: the logits of `views`, (B, C, h, w) for each scale.
            keep_logits, confidence: as for `start`.
            finders: for each photo, the function that finds its people; None finds nobody.

        Returns:
            A function that waits for the device and returns the parsings.
        """
        coming = []
        for place, frame in enumerate(frames):
            views = [view[place] for view in batch]
            labels, confidences = frame.labelled(views, self.protocol, confidence)
            kept = frame.mean(views) if keep_logits else None
            coming.append((fetched(labels), fetched(confidences), fetched(kept)))

        def parsings() -> list[Parsing]:
            found = []
            for place, (labels, confidences, kept) in enumerate(coming):
                people = () if finders is None else finders[place](labels())
                found.append(Parsing(labels(), self.scheme, self.name, confidences(), kept(), people))
            return found

        return parsings

    @torch.inference_mode()
    def logits(self, images: Sequence[Picture], batch_size: int = 8) -> list[tuple[Frame, Tensor]]:
        """RGB uint8 pictures (H, W, 3) -> the frame and the logits float32 (C, h, w) of each, on the CPU.

        Pictures whose inputs have the same size go through the network together.
        """
        frames = [Frame((image.shape[0], image.shape[1]), self.input) for image in images]
        found: dict[int, Tensor] = {}
        for numbers in passes(frames, self.device):
            for start in range(0, len(numbers), batch_size):
                batch = numbers[start : start + batch_size]
                fitted = [frames[number].fit(images[number], self.device) for number in batch]
                views = self.views(torch.stack(fitted))
                for place, number in enumerate(batch):
                    found[number] = frames[number].mean([view[place] for view in views]).cpu()
        return [(frame, found[number]) for number, frame in enumerate(frames)]

    def views(self, fitted: Tensor) -> list[Tensor]:
        """Inputs float32 (B, 3, h, w) on `device` -> logits float32 (B, C, h', w') for each scale."""
        scaled = (self.scaled(fitted, scale) for scale in self.scales)
        return [self.unmirrored(self.run(self.network, self.mirrored(batch))) for batch in scaled]

    def mirrored(self, fitted: Tensor) -> Tensor:
        """The inputs (B, 3, h, w); with `flip`, followed by the mirrored ones: (2 * B, 3, h, w)."""
        return torch.cat((fitted, fitted.flip(3))) if self.flip else fitted

    def unmirrored(self, logits: Tensor) -> Tensor:
        """Logits of the result of `mirrored` -> (B, C, h, w); with `flip` the mean, with sides restored."""
        if not self.flip:
            return logits
        plain, mirrored = logits.chunk(2)
        return (plain + mirrored[:, list(self.scheme.flip_order())].flip(3)) * 0.5

    def run(self, network: Callable[[Tensor], Output], batch: Tensor) -> Output:
        """Run a network in full float32."""
        with exact_float32(self.device):
            return network(batch)

    def scaled(self, fitted: Tensor, scale: float) -> Tensor:
        """Resize an input (1, 3, h, w); padded inputs stay multiples of their padding."""
        if scale == 1:
            return fitted
        align, step = self.input.align_corners, self.input.pad_multiple
        if step == 1:
            return F.interpolate(fitted, scale_factor=scale, mode="bilinear", align_corners=align)
        height, width = (max(step, int(side * scale) // step * step) for side in fitted.shape[2:])
        return bilinear(fitted, (height, width), align)


def passes(frames: Sequence[Frame], device: torch.device) -> list[list[int]]:
    """The positions of the frames, grouped into passes through the network.

    Inputs of one size share a pass. On a CPU, where that is no faster, each has a pass of its own, and labels
    do not depend on the other pictures.
    """
    if device.type == "cpu":
        return [[number] for number in range(len(frames))]
    groups: dict[tuple[int, int], list[int]] = {}
    for number, frame in enumerate(frames):
        groups.setdefault(frame.input_size, []).append(number)
    return list(groups.values())


def changed(
    frames: Sequence[Frame], fitted: Tensor, views: Sequence[Tensor], change: Change | None
) -> Sequence[Tensor]:
    """The logits of each photo, changed by `change` one after the other."""
    if change is None:
        return views
    means = (frame.mean([view[place] for view in views]) for place, frame in enumerate(frames))
    return [torch.stack([change(logits, pixels) for logits, pixels in zip(means, fitted, strict=True)])]


def fetched(tensor: Tensor | None) -> Callable[[], Any]:
    """Start copying a tensor to the CPU. The returned function waits for the copy and returns it."""
    if tensor is None:
        return lambda: None
    if not tensor.is_cuda:
        whole = tensor.untyped_storage().nbytes() == tensor.nbytes
        array = tensor.cpu().numpy()
        return lambda: array if whole else array.copy()  # a view would keep the whole batch
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    copied = torch.cuda.current_stream(tensor.device).record_event()

    def fetch() -> npt.NDArray[Any]:
        copied.synchronize()
        return np.array(pinned)  # a copy: pinned memory is scarce

    return fetch


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Check the sizes of the input, relative to its own.

    Raises:
        ModelError: there is none, or one is out of range.
    """
    values = tuple(float(scale) for scale in scales)
    if not values or not all(0.1 <= value <= 4 for value in values):
        raise ModelError(f"scales must be numbers between 0.1 and 4, such as (0.75, 1.0, 1.25), not {scales}")
    return values


def input_at(spec: InputSpec, size: tuple[int, int]) -> InputSpec:
    """The input's specification with another (height, width), with people and without.

    Raises:
        ModelError: a side is too short.
    """
    height, width = size
    if min(height, width) < 32:
        raise ModelError(f"test_size is (height, width), each at least 32, not {size}")
    return replace(spec, size=(int(height), int(width)), people_size=None)
