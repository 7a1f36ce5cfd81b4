"""Shared parts of the decoders of SMP and UniParser: the people they return, the centres they start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class People:
    """The N people of one photo, and their P parts, as a decoder finds them.

    Attributes:
        labels: uint8 (N, H, W), for each person 0 or a part's number; people may overlap.
        scores: float32 (N,), the heat at each person's centre, 0-1.
        merged: uint8 (H, W), the original's own map of the whole photo.
        part_person: int64 (P,), position in `labels` of each part's person.
        part_label: uint8 (P,), the part's number.
        part_score: float32 (P,), 0-1.
    """

    labels: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]
    merged: npt.NDArray[np.uint8]
    part_person: npt.NDArray[np.int64]
    part_label: npt.NDArray[np.uint8]
    part_score: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Canvas:
    """Brings maps from the network's stride to the photo's size.

    Attributes:
        content_size: (height, width) of the photo inside the network's input, without padding.
        size: (height, width) of the photo.
        align_corners: whether resizes map corner pixels onto each other.
    """

    content_size: Size
    size: Size
    align_corners: bool

    def enlarge(self, maps: Tensor, shrink_only: bool = False) -> Tensor:
        """Resize maps (K, h, w) in two steps, with the padding cut off in between, as the originals do.

        The network's input is four times as large. `shrink_only` skips the second step for larger photos.
        """
        full = (4 * maps.shape[1], 4 * maps.shape[2])
        seen = self._resize(maps, full)[:, : self.content_size[0], : self.content_size[1]]
        return seen if shrink_only and not self.shrinks else self._resize(seen, self.size)

    @property
    def shrinks(self) -> bool:
        """Whether the photo has fewer pixels than in the network's input."""
        return self.content_size[0] * self.content_size[1] > self.size[0] * self.size[1]

    def _resize(self, maps: Tensor, size: Size) -> Tensor:
        return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=self.align_corners)[0]


def centres(heat: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and heat of the cells of (S, S) above a threshold that are the highest within 5x5."""
    peak = F.max_pool2d(heat[None], 5, stride=1, padding=2)[0] == heat
    rows, columns = torch.nonzero(peak & (heat > threshold), as_tuple=True)
    return rows, columns, heat[rows, columns]


def float32(*maps: Tensor | npt.NDArray[np.generic]) -> list[Tensor]:
    """Tensors or arrays as float32 tensors, on their device."""
    return [torch.as_tensor(each).to(torch.float32) for each in maps]
