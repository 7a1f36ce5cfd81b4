"""Smooths logits over time, so that labels flicker less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError
from ..registry import InputSpec

Smooth = Literal["exponential", "flow"]
Grey = npt.NDArray[np.uint8]
Smoother = Callable[[Tensor, Grey], Tensor]
"""Takes a frame's logits (C, h, w) and its grey picture (H, W); returns smoothed logits of the same shape."""

STRENGTH: dict[str, float] = {"exponential": 0.5, "flow": 0.7}


def make_smoother(kind: Smooth, strength: float | None) -> Smoother:
    """Make a smoother for a new video.

    Args:
        kind: `"exponential"` or `"flow"`.
        strength: weight of the past frames, from 0 to less than 1; None takes it from `STRENGTH`.

    Raises:
        ModelError: an argument has another value.
    """
    if kind not in get_args(Smooth):
        raise ModelError(f"smooth must be one of {', '.join(get_args(Smooth))}, not {kind!r}")
    strength = STRENGTH[kind] if strength is None else strength
    if not 0 <= strength < 1:
        raise ModelError(f"strength must be from 0 to less than 1, not {strength}")
    return Exponential(strength) if kind == "exponential" else AlongFlow(strength)


def grey(fitted: Tensor, spec: InputSpec) -> Grey:
    """A network's input, float32 (3, h, w), as a grey picture uint8 (h, w)."""
    values = fitted.cpu()
    mean, std = (values.new_tensor(each)[:, None, None] for each in (spec.mean, spec.std))
    pixels = values * std + mean
    level = pixels.mean(dim=0) * (255 if spec.scale == "0-1" else 1)
    shades: Grey = level.round().clamp(0, 255).to(torch.uint8).numpy()
    return shades


class Exponential:
    """mean = strength * last mean + (1 - strength) * logits, cell by cell; starts over after a cut."""

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._mean: Tensor | None = None
        self._shades: Grey | None = None

    def __call__(self, logits: Tensor, shades: Grey) -> Tensor:
        """See `Smoother`."""
        before, self._shades = self._shades, shades
        if self._mean is None or before is None or _is_cut(before, shades):
            self._mean = logits
        else:
            self._mean = self._joined(logits, self._mean, before, shades)
        return self._mean

    def _joined(self, logits: Tensor, mean: Tensor, before: Grey, shades: Grey) -> Tensor:
        return torch.lerp(logits, mean, self._strength)


class AlongFlow(Exponential):
    """Like `Exponential`, but the mean moves with the picture; it starts over where motion is doubtful."""

    def __init__(self, strength: float) -> None:
        super().__init__(strength)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def _joined(self, logits: Tensor, mean: Tensor, before: Grey, shades: Grey) -> Tensor:
        motion = self._motion(shades, before)
        trust = self._trust(motion, before, shades)
        size = (logits.shape[1], logits.shape[2])
        at = F.interpolate(torch.from_numpy(_positions(motion))[None], size, mode="area").to(logits.device)
        weight = F.interpolate(torch.from_numpy(trust)[None, None], size, mode="area")[0].to(logits.device)
        at = at.permute(0, 2, 3, 1)
        moved = F.grid_sample(mean[None], at, padding_mode="border", align_corners=False)[0]
        return logits + (moved - logits) * (self._strength * weight)

    def _motion(self, shades: Grey, other: Grey) -> npt.NDArray[np.float32]:
        """The displacement of each pixel to the other picture: (H, W, 2), x and y in pixels."""
        still = np.zeros((*shades.shape, 2), dtype=np.float32)
        return np.asarray(self._flow.calc(shades, other, still), dtype=np.float32)

    def _trust(self, motion: npt.NDArray[np.float32], before: Grey, shades: Grey) -> npt.NDArray[np.float32]:
        """1 where the motion back cancels the motion forth and the picture looks the same there, else 0."""
        height, width = shades.shape
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        x, y = columns + motion[..., 0], rows + motion[..., 1]
        forth = self._motion(before, shades)
        there = cv2.remap(forth, x, y, cv2.INTER_LINEAR)
        miss = ((motion + there) ** 2).sum(axis=2)
        length = (motion**2).sum(axis=2) + (there**2).sum(axis=2)
        seen = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = cv2.blur(np.abs(shades.astype(np.float32) - seen), (5, 5))
        inside = (x > -1) & (x < width) & (y > -1) & (y < height)
        trusted: npt.NDArray[np.float32] = inside & (miss < 0.01 * length + 0.5) & (change < _CHANGE)
        return trusted.astype(np.float32)


def _positions(motion: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Displacements (H, W, 2) in pixels -> where to read, (2, H, W), -1 to 1 between the outer edges."""
    height, width = motion.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5 + motion[..., 0]) * (2 / width) - 1
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5 + motion[..., 1]) * (2 / height) - 1
    return np.stack((x, y)).astype(np.float32)


_CHANGE = 16.0
"""Change of brightness (0-255) along the flow beyond which motion is doubtful."""

_CUT = 45.0
"""Mean change of brightness (0-255) that counts as the start of a new scene."""


def _is_cut(before: Grey, shades: Grey) -> bool:
    if before.shape != shades.shape:
        return True
    return float(np.abs(before.astype(np.int16) - shades).mean()) > _CUT
