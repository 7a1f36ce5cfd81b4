"""Parts and people from one pass of one network; its people head assigns pixels to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import Frame
from ..ops.bilinear import bilinear
from ..people import Person
from ._halves import joined
from ._people_decoder import decode_people
from .semantic import Change, Finder, Semantic, changed, fetched

_NOBODY = 255
"""Marks background in a map of people; there are at most 255 people, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class BottomUp(Semantic):
    """A loaded network with a people head. Labels, confidence and logits are those of `Semantic`.

    Attributes:
        with_people: float32 (B, 3, h, w) -> the logits of `network`, and the maps for `decode_people`,
            float32 (B, 3, h', w').
        thresholds: keyword arguments of `decode_people`.
    """

    with_people: Callable[[Tensor], tuple[Tensor, ...]]
    thresholds: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        whole: Semantic,
        with_people: Callable[[Tensor], tuple[Tensor, ...]],
        thresholds: Mapping[str, Any],
    ) -> BottomUp:
        """What finds people beside a network's labels, at the size that its input has for that."""
        larger = replace(whole.input, size=whole.input.people_size or whole.input.size)
        return cls(**{**vars(whole), "input": larger}, with_people=with_people, thresholds=thresholds)

    def seen(
        self, frames: Sequence[Frame], fitted: Tensor, change: Change | None
    ) -> tuple[Sequence[Tensor], Sequence[Finder]]:
        """See `Semantic.seen`; `change` changes the labels, not the people head's maps."""
        pairs = [self._maps(fitted, scale) for scale in self.scales]
        maps = torch.stack([maps for _, maps in pairs]).mean(dim=0)
        views = changed(frames, fitted, [logits for logits, _ in pairs], change)
        someone = torch.stack([self._someone(logits, maps) for logits in views]).mean(dim=0)
        held = torch.cat((maps, someone), dim=1)  # (B, 4, h, w)
        finders = [partial(self._find, frame, fetched(one)) for frame, one in zip(frames, held, strict=True)]
        return views, finders

    def _maps(self, fitted: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Inputs (B, 3, h, w) -> logits at one scale, and the people head's maps as of scale 1."""
        scaled = self.scaled(fitted, scale)
        logits, maps = self.run(self.with_people, self.mirrored(scaled))
        if self.flip:
            plain, mirrored = maps.chunk(2)
            sides = torch.tensor((1.0, 1.0, -1.0), device=maps.device)[:, None, None]
            maps = (plain + mirrored.flip(3) * sides) * 0.5
        if scaled.shape != fitted.shape:
            (height, width), (rows, columns) = fitted.shape[2:], scaled.shape[2:]
            grid = maps.shape[2] * height // rows, maps.shape[3] * width // columns
            pixels = torch.tensor((1.0, height / rows, width / columns), device=maps.device)[:, None, None]
            maps = bilinear(maps, grid, False) * pixels
        return self.unmirrored(logits), maps

    def _someone(self, logits: Tensor, maps: Tensor) -> Tensor:
        """Logits (B, C, h, w) -> probability that a cell of the maps shows a person, (B, 1, h', w')."""
        nobody = logits.softmax(dim=1)[:, [self.scheme.index("Background")]]
        return 1 - F.adaptive_avg_pool2d(nobody, (maps.shape[2], maps.shape[3]))

    def _find(
        self, frame: Frame, fetch: Callable[[], Any], labels: npt.NDArray[np.uint8]
    ) -> tuple[Person, ...]:
        """The people of one photo, from the maps that `fetch` returns and from its labels."""
        held = torch.from_numpy(fetch())
        grid = held.shape[1], held.shape[2]
        seen = frame.without_padding(held)
        scores, closeness = decode_people(seen[:3], seen[3], frame.stride(grid), **self.thresholds)
        if not len(scores):
            return ()
        padding = (0, grid[1] - seen.shape[2], 0, grid[0] - seen.shape[1])
        owner = frame.back(F.pad(closeness, padding))[0]
        owner[labels == self.scheme.index("Background")] = _NOBODY
        owner = joined(owner, labels, self.scheme, len(scores))
        people: list[Person] = []
        for number, score in enumerate(scores.tolist()):
            mask = owner == number
            if mask.any():
                people.append(Person.cut(len(people) + 1, None, score, labels, mask, self.scheme))
        return tuple(people)
