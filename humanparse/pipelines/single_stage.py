"""Single-stage models: one network finds people and their parts in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..arrays import Picture
from ..errors import ModelError
from ..geometry import Frame, Protocols
from ..ops.float32 import exact_float32
from ..people import Person
from ..registry import FAMILIES, InputSpec, ModelSpec
from ..results import Parsing
from ..schemes import LabelScheme
from ._centres import People
from ._smp_decoder import decode_smp
from ._uniparser_decoder import decode_uniparser
from .pipeline import Pipeline

__all__ = ["People", "SingleStage", "decode_smp", "decode_uniparser", "find_decoder"]


@dataclass(frozen=True)
class SingleStage(Pipeline):
    """A loaded network that finds people and their parts, with all options that affect its result.

    Attributes:
        name: the model's name.
        network: (1, 3, h, w) -> maps on `device`; their `of(0)` returns the arguments of `decode`.
        decode: the function that turns maps into people; see `find_decoder`.
        thresholds: keyword arguments of `decode`.
        scheme: the label scheme.
        input: the network's input.
        device: where it runs.
        dtype: precision of its matrix products; decoding uses float32.
        protocol: `extract` puts the higher score on top. `paper` and `score` give the original's own map: SMP
            puts the lower score on top, and UniParser ignores people.
    """

    name: str
    network: nn.Module
    decode: Callable[..., People]
    thresholds: Mapping[str, int | float]
    scheme: LabelScheme
    input: InputSpec
    device: torch.device
    dtype: torch.dtype = torch.float32
    protocol: Protocols = "extract"

    def start(
        self, batch: Sequence[Picture], keep_logits: bool = False, confidence: bool = False
    ) -> Callable[[], list[Parsing]]:
        """See `Pipeline.start`; these models have no logits and no confidence."""
        if keep_logits or confidence:
            raise ModelError(
                f"{self.name} finds people and gives no logits per pixel: leave keep_logits and confidence "
                "off; parsing.people has scores of people and parts"
            )
        return lambda: [self._parse(picture) for picture in batch]

    @torch.inference_mode()
    def _parse(self, image: Picture) -> Parsing:
        frame = Frame((image.shape[0], image.shape[1]), self.input)
        people = self._find(frame, image)
        labels = people.merged if self.protocol != "extract" else _on_top(people)
        return Parsing(labels, self.scheme, self.name, people=_persons(people, self.scheme))

    def _find(self, frame: Frame, image: Picture) -> People:
        batch = frame.fit(image, self.device)[None]
        with exact_float32(self.device):
            if self.dtype == torch.float32:
                maps = self.network(batch)
            else:
                with torch.autocast(self.device.type, self.dtype):
                    maps = self.network(batch)
            return self.decode(*maps.of(0), frame.content_size, frame.image_size, **self.thresholds)


def find_decoder(spec: ModelSpec) -> Callable[..., People]:
    """The function that turns a model's maps into people."""
    place = FAMILIES[spec.family].decoder
    assert place is not None, f"{spec.name} gives logits"
    module, _, function = place.partition(":")
    decoder: Callable[..., People] = getattr(import_module(f".{module}", __package__), function)
    return decoder


def _on_top(people: People) -> npt.NDArray[np.uint8]:
    """All people in one map, uint8 (H, W), the higher score on top; at a tie, the first."""
    labels = np.zeros_like(people.merged)
    for each in _descending(people)[::-1]:
        person = people.labels[each]
        np.copyto(labels, person, where=person > 0)
    return labels


def _persons(people: People, scheme: LabelScheme) -> tuple[Person, ...]:
    """The people by descending score, without those who have no pixel at the photo's size."""
    persons: list[Person] = []
    for each in _descending(people):
        mask = people.labels[each] > 0
        if not mask.any():
            continue
        own = people.part_person == each
        best = _best(people.part_label[own], people.part_score[own])
        scores = {scheme.name(label): score for label, score in best.items()}
        score = float(people.scores[each])
        persons.append(Person.cut(len(persons) + 1, None, score, people.labels[each], mask, scheme, scores))
    return tuple(persons)


def _descending(people: People) -> npt.NDArray[np.int64]:
    return np.argsort(-people.scores, kind="stable")


def _best(labels: npt.NDArray[np.uint8], scores: npt.NDArray[np.float32]) -> dict[int, float]:
    """The best score of each label: SMP may find two masks of one part."""
    return {int(label): float(scores[labels == label].max()) for label in np.unique(labels)}
