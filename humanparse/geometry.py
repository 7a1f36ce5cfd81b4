"""`Frame`: how one picture size and one network input fit together, in both directions.

No other code computes a scale or an offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .arrays import Labels, Picture
from .errors import ImageError
from .ops.bilinear import bilinear
from .ops.forks import settle_after_fork
from .ops.resample_argmax import resample_argmax
from .ops.resize import resize
from .ops.taps import Taps, corner_taps, nearest_index, resize_taps, warp_taps
from .ops.warp import warp_uint8
from .ops.windowed import WindowedLogits
from .registry import InputSpec

Size = tuple[int, int]
Protocols = Literal["extract", "paper", "score"]

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class _Warp:
    """The affine map of CE2P and SCHP: the longer side, from pixel centre to pixel centre, spans the input.

    `warp-corner` (SCHP) maps the outermost pixel centres of the picture to those of the input. `warp-half`
    (CE2P) maps them across the input's whole width, with the picture's centre at half of it. The originals
    divide by zero for a picture of one pixel; here it counts as one pixel wide.
    """

    image_size: Size
    spec: InputSpec

    @property
    def input_size(self) -> Size:
        return self.spec.size

    @property
    def content_size(self) -> Size:
        return self.spec.size

    def _span(self, axis: int) -> int:
        return self.spec.size[axis] - (self.spec.fit == "warp-corner")

    @cached_property
    def _scale(self) -> float:
        height, width = self.image_size[0] - 1, self.image_size[1] - 1
        aspect = self.spec.size[1] / self.spec.size[0]
        across = np.float32(max(width, height * aspect) or 1)  # the originals keep their box in float32
        return self._span(1) / float(across)

    def _axis(self, axis: int) -> tuple[float, float]:
        """Scale and shift from picture to input along one axis (0 rows, 1 columns)."""
        centre = (self.image_size[axis] - 1) / 2
        return self._scale, self._span(axis) / 2 - self._scale * centre

    def _inverse_axis(self, axis: int, truncate_centre: bool = False) -> tuple[float, float]:
        """Scale and shift from input to picture along one axis."""
        centre = (self.image_size[axis] - 1) / 2
        if truncate_centre:
            centre = float(int(centre))
        return 1 / self._scale, centre - self._span(axis) / (2 * self._scale)

    @property
    def resolved(self) -> Size:
        height, width = (int(np.ceil(side * self._scale)) for side in self.image_size)
        return height, width

    def resample(self, image: Picture, device: torch.device) -> Tensor:
        size = image.shape[0], image.shape[1]
        seen = replace(self, image_size=size)  # a smaller copy's outermost pixels map to the same places
        rows, columns = (
            warp_taps(*_inverted(*seen._axis(axis)), self.spec.size[axis], size[axis], is_row=axis == 0).to(
                device
            )
            for axis in (0, 1)
        )
        return warp_uint8(_moved(torch.from_numpy(image), device), rows, columns)

    def taps(self, grid: Size) -> tuple[Taps, Taps]:
        rows, columns = (
            warp_taps(
                *_inverted(*self._inverse_axis(axis)), self.image_size[axis], grid[axis], is_row=axis == 0
            )
            for axis in (0, 1)
        )
        return rows, columns

    def nearest(self, labels: Tensor, truncate_centre: bool) -> Tensor:
        index, inside = [], []
        for axis in (0, 1):
            scale, shift = _inverted(*self._inverse_axis(axis, truncate_centre))
            at = nearest_index(scale, shift, self.image_size[axis], is_row=axis == 0).to(labels.device)
            inside.append((at >= 0) & (at < self.spec.size[axis]))
            index.append(at.clamp(0, self.spec.size[axis] - 1))
        return labels[:, index[1]][index[0]] * (inside[0][:, None] & inside[1])


def _moved(pixels: Tensor, device: torch.device) -> Tensor:
    """The pixels on a device. The copy to CUDA uses pinned memory and does not block."""
    return pixels.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else pixels.to(device)


def _inverted(scale: float, shift: float) -> tuple[float, float]:
    """The inverse of an isotropic map along one axis, in the order of operations of OpenCV's `warpAffine`."""
    inverse = scale * (1 / (scale * scale))
    return inverse, -inverse * shift


@dataclass(frozen=True)
class _Squash:
    """A resize to the input's size, whatever the picture's aspect."""

    image_size: Size
    spec: InputSpec

    @property
    def content_size(self) -> Size:
        return self.spec.size

    @property
    def resolved(self) -> Size:
        return self.content_size

    @property
    def input_size(self) -> Size:
        step = self.spec.pad_multiple
        height, width = (-(-side // step) * step for side in self.content_size)
        return height, width

    def resample(self, image: Picture | npt.NDArray[np.float32], device: torch.device) -> Tensor:
        return _moved(torch.from_numpy(resize(image, self.content_size, self.spec.interpolation)), device)

    def taps(self, grid: Size) -> tuple[Taps, Taps]:
        rows, columns = (self._axis_taps(axis, grid[axis]) for axis in (0, 1))
        return rows, columns

    def _axis_taps(self, axis: int, cells: int) -> Taps:
        if self.spec.align_corners and self.spec.upsampling == "one-step":
            return corner_taps(self.image_size[axis], cells)
        stride = self.input_size[axis] / cells
        used = _used(cells, stride, self.content_size[axis])
        return resize_taps(
            self.content_size[axis] / self.image_size[axis] / stride, self.image_size[axis], used
        )


def _used(cells: int, stride: float, content: int) -> int:
    """How many cells along an axis show a piece of the picture; the others show only padding."""
    return min(cells, int(np.ceil(content / stride)))


@dataclass(frozen=True)
class _ShortestEdge(_Squash):
    """The short side gets the given length, or less if the long side meets its limit; keeps the aspect."""

    @cached_property
    def content_size(self) -> Size:
        short, limit = self.spec.size
        ratio = min(short / min(self.image_size), limit / max(self.image_size))
        height, width = (max(1, int(side * ratio + 0.5)) for side in self.image_size)
        return height, width


@dataclass(frozen=True)
class _KeepRatio(_Squash):
    """As large as both limits allow, enlarged if needed; the larger limit is that of the long side."""

    @cached_property
    def content_size(self) -> Size:
        long, short = max(self.spec.size), min(self.spec.size)
        ratio = min(long / max(self.image_size), short / min(self.image_size))
        height, width = (max(1, int(side * ratio + 0.5)) for side in self.image_size)
        return height, width


_FITS: dict[str, type[_Warp] | type[_Squash]] = {
    "warp-corner": _Warp,
    "warp-half": _Warp,
    "squash": _Squash,
    "shortest-edge": _ShortestEdge,
    "keep-ratio": _KeepRatio,
}


@dataclass(frozen=True)
class Frame:
    """The geometry between pictures of one size and a network's input.

    Args:
        image_size: (height, width) of the picture in pixels.
        spec: the network's input.
    """

    image_size: Size
    spec: InputSpec

    def __post_init__(self) -> None:
        if min(self.image_size) < 1:
            raise ImageError(
                f"a picture of {self.image_size[1]}x{self.image_size[0]} pixels cannot be parsed"
            )

    @cached_property
    def _fit(self) -> _Warp | _Squash:
        return _FITS[self.spec.fit](self.image_size, self.spec)

    @property
    def input_size(self) -> Size:
        """(height, width) of the network's input."""
        return self._fit.input_size

    @property
    def content_size(self) -> Size:
        """(height, width) of the picture inside the network's input; the rest is padding."""
        return self._fit.content_size

    @property
    def resolved(self) -> Size:
        """(height, width) of the picture at the network's resolution."""
        return self._fit.resolved

    def stride(self, grid: Size) -> tuple[float, float]:
        """How many rows and columns of the input one cell of a grid over all of it covers."""
        return self.input_size[0] / grid[0], self.input_size[1] / grid[1]

    def without_padding(self, maps: Tensor) -> Tensor:
        """Maps (..., h, w) of the whole input -> only the cells that show a piece of the picture."""
        grid = (maps.shape[-2], maps.shape[-1])
        rows, columns = map(_used, grid, self.stride(grid), self.content_size)
        return maps[..., :rows, :columns]

    def resample(self, image: Picture, device: torch.device = _CPU) -> Tensor:
        """RGB uint8 (H, W, 3) -> uint8 (h, w, 3) in the network's channel order, without padding.

        Args:
            image: the picture; or a copy of it at 1/2, 1/4 or 1/8 of its size, rounded up.
            device: computes warps.
        """
        pixels = self._fit.resample(image, device)
        return pixels.flip(2) if self.spec.channels == "bgr" else pixels

    def fit(self, image: Picture, device: torch.device = _CPU) -> Tensor:
        """RGB uint8 (H, W, 3) -> the network's input, float32 (3, *input_size), normalised, on a device.

        The image may be a smaller copy, as for `resample`. The device computes warps and normalisation, with
        the same results as on the CPU; OpenCV resizes on the CPU.
        """
        settle_after_fork()
        if self.spec.resize_on == "uint8":
            normal = self._normalised(self.resample(image, device))
        else:
            pixels = torch.from_numpy(image)
            pixels = pixels.flip(2) if self.spec.channels == "bgr" else pixels
            normal = self._fit.resample(self._normalised(pixels).numpy(), device)
        height, width = self.input_size
        padding = (0, width - normal.shape[1], 0, height - normal.shape[0])
        return F.pad(normal.permute(2, 0, 1), padding).contiguous()

    def _normalised(self, pixels: Tensor) -> Tensor:
        """uint8 (h, w, 3) in the network's channel order -> float32 (h, w, 3)."""
        values, mean, std = (
            torch.as_tensor(each, dtype=torch.float32, device=pixels.device)
            for each in (pixels, self.spec.mean, self.spec.std)
        )
        if self.spec.scale == "0-1":  # a tensor, because CUDA would multiply by a number's rounded inverse
            values = values / torch.full((), 255.0, dtype=torch.float32, device=pixels.device)
        return (values - mean) / std

    def mean(self, views: Sequence[Tensor]) -> Tensor:
        """The mean of logits (C, h, w) of several sizes, at the input's size; a single view is unchanged."""
        if len(views) == 1:
            return views[0]
        total = torch.zeros((), dtype=views[0].dtype, device=views[0].device)
        for view in views:
            total = total + bilinear(view[None], self.input_size, self.spec.align_corners)[0]
        return total / len(views)

    def back(
        self, logits: Tensor | Sequence[Tensor], protocol: Protocols = "extract", confidence: bool = False
    ) -> tuple[Labels, npt.NDArray[np.float16] | None]:
        """Logits -> labels at the picture's size.

        Args:
            logits: float32 (C, h, w), at the network's grid or at `input_size`; or several of these, made at
                different scales. Their mean is taken at the input's size (`two-step`) or the picture's
                (`one-step`).
            protocol: `extract` resamples logits, then takes the best class. `paper` takes the best class at
                the input's size, then resamples labels by nearest neighbour. `score` does the same with the
                centre truncated to whole pixels, as the original's scoring script. Inputs that are not warped
                always use `extract`; originals without an extractor (`InputSpec.extract`) use `paper` for it.
            confidence: also give the softmax probability of the chosen class.

        Returns:
            labels uint8 (H, W); confidence float16 (H, W), 0-1, or None.
        """
        labels, confidences = self.labelled(logits, protocol, confidence)
        return labels.cpu().numpy(), None if confidences is None else confidences.cpu().numpy()

    def labelled(
        self, logits: Tensor | Sequence[Tensor], protocol: Protocols = "extract", confidence: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Like `back`, but returns tensors on the logits' device."""
        settle_after_fork()
        views = [logits] if isinstance(logits, Tensor) else list(logits)
        if self.spec.upsampling == "two-step":
            whole = self.mean(views)
            at_input = tuple(whole.shape[1:]) == self.input_size
            views = [
                whole if at_input else bilinear(whole[None], self.input_size, self.spec.align_corners)[0]
            ]
        if isinstance(self._fit, _Warp) and (protocol != "extract" or self.spec.extract == "labels"):
            return self._nearest(views[0], protocol == "score", confidence)
        return resample_argmax([(view, *self._taps(view)) for view in views], confidence)

    def _taps(self, logits: Tensor) -> tuple[Taps, Taps]:
        rows, columns = self._fit.taps((logits.shape[1], logits.shape[2]))
        return rows.to(logits.device), columns.to(logits.device)

    def _nearest(self, logits: Tensor, cut: bool, confidence: bool) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self._fit, _Warp)
        labels = self._fit.nearest(logits.argmax(dim=0).to(torch.uint8), cut)
        if not confidence:
            return labels, None
        return labels, self._fit.nearest(logits.softmax(dim=0).amax(dim=0).to(torch.float16), cut)

    def windowed(self, logits: Tensor) -> WindowedLogits:
        """Logits (C, h, w), at the network's grid or at `input_size`, as windows at the picture's resolution.

        These are the values whose best class `back` takes under `extract`. They are computed on the CPU,
        window by window.
        """
        logits = logits.cpu()
        if self.spec.upsampling == "two-step" and tuple(logits.shape[1:]) != self.input_size:
            logits = bilinear(logits[None], self.input_size, self.spec.align_corners)[0]
        return WindowedLogits(logits, *self._fit.taps((logits.shape[1], logits.shape[2])))
