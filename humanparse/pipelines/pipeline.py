"""What all ways from pictures to parsings have in common."""

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
        shares_passes: whether pictures go through the network together; if not, each goes through it alone.
        device: where the network runs.
    """

    shares_passes: ClassVar[bool] = False
    device: torch.device

    def parse_batch(
        self, pictures: Sequence[Picture], keep_logits: bool = False, confidence: bool = False
    ) -> list[Parsing]:
        """RGB uint8 pictures (H, W, 3) of any sizes -> a parsing of each, in order.

        Args:
            pictures: each is read once and not kept.
            keep_logits, confidence: as for `Parser.predict`.

        Raises:
            ModelError: the model has no logits or confidence to give.
        """
        return self.start([self.prepare(picture) for picture in pictures], keep_logits, confidence)()

    def prepare(self, picture: Picture) -> Any:
        """RGB uint8 (H, W, 3) -> what `start` takes; any thread may do this while the network works."""
        return picture

    @abstractmethod
    def start(
        self, batch: Sequence[Any], keep_logits: bool = False, confidence: bool = False
    ) -> Callable[[], list[Parsing]]:
        """Begin with a batch: the function that is returned waits for the device, and gives the parsings.

        Args:
            batch: what `prepare` gave of each picture.
            keep_logits, confidence: as for `parse_batch`.
        """
