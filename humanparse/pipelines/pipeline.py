"""The interface of all pipelines from pictures to parsings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from ..arrays import Picture
from ..results import Parsing


class Pipeline(ABC):
    """Turns pictures into parsings.

    Attributes:
        shares_passes: whether the pictures of a batch go through the network together.
        small: whether many pictures are faster side by side on a CPU; see `lanes`.
        device: where the network runs.
    """

    shares_passes: ClassVar[bool] = False
    small: bool = False
    device: torch.device

    def parse_batch(
        self, pictures: Sequence[Picture], keep_logits: bool = False, confidence: bool = False
    ) -> list[Parsing]:
        """RGB uint8 pictures (H, W, 3) of any sizes -> a parsing of each, in order.

        Args:
            pictures: the pictures; each is read once and not kept.
            keep_logits, confidence: as for `Parser.predict`.

        Raises:
            ModelError: the model has no logits or no confidence.
        """
        return self.start([self.prepare(picture) for picture in pictures], keep_logits, confidence)()

    def prepare(self, picture: Picture) -> Any:
        """RGB uint8 (H, W, 3) -> an input for `start`; may be called in any thread while the network runs."""
        return picture

    def read(self, load: Callable[[], Picture]) -> Any:
        """Like `prepare`, for a picture that `load` decodes; it may be decoded at a reduced size."""
        return self.prepare(load())

    @abstractmethod
    def start(
        self, batch: Sequence[Any], keep_logits: bool = False, confidence: bool = False
    ) -> Callable[[], list[Parsing]]:
        """Start computing a batch. The returned function waits for the device and returns the parsings.

        Args:
            batch: the result of `prepare` for each picture.
            keep_logits, confidence: as for `parse_batch`.
        """
