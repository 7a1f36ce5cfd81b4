"""torchvision: label maps as `tv_tensors.Mask`, and a mirroring that keeps left and right apart."""

from __future__ import annotations

from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..results import Parsing
from ..schemes import LabelScheme, get_scheme


def to_mask(parsing: Parsing, dtype: torch.dtype = torch.uint8) -> tv_tensors.Mask:
    """The labels as a `tv_tensors.Mask` (H, W); losses want `torch.int64`. 255 stays 255."""
    return tv_tensors.Mask(torch.from_numpy(parsing.labels.copy()), dtype=dtype)


class RandomHorizontalFlip(v2.RandomHorizontalFlip):  # type: ignore[misc]  # torchvision has no types
    """Mirror pictures, boxes and label maps; in label maps left and right parts change their names.

    A mirrored left arm is a right arm. torchvision's own transform leaves it a left one, and a network
    trained so takes both sides for one. Masks of type bool, which show where something is, are only mirrored.

    Args:
        scheme: what the numbers in label maps mean: a scheme or its key; its `flip_pairs` are swapped.
        p: probability, 0-1, of mirroring a sample.

    Raises:
        SchemeError: no such scheme.
    """

    def __init__(self, scheme: str | LabelScheme, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Mirror one item of a sample; called by torchvision."""
        return self._renamed(super().transform(inpt, params))

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """`transform`, as torchvision before 0.21 calls it."""
        return self._renamed(super()._transform(inpt, params))

    def _renamed(self, item: Any) -> Any:
        if not isinstance(item, tv_tensors.Mask) or item.dtype == torch.bool:
            return item
        before = item.as_subclass(torch.Tensor)
        after = before.clone()
        for left, right in self.scheme.flip_pairs:
            after[before == left] = right
            after[before == right] = left
        return tv_tensors.wrap(after, like=item)

    def extra_repr(self) -> str:
        """What its repr shows."""
        return f"scheme={self.scheme.key}, p={self.p}"
