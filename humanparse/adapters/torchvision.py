"""torchvision: label maps as `tv_tensors.Mask`, and a flip that swaps left and right labels."""

from __future__ import annotations

from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..results import Parsing
from ..schemes import LabelScheme, get_scheme


def to_mask(parsing: Parsing, dtype: torch.dtype = torch.uint8) -> tv_tensors.Mask:
    """The labels as a `tv_tensors.Mask` (H, W); losses need `torch.int64`. 255 stays 255.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.torchvision import to_mask
        >>> to_mask(Parser().predict("examples/grace_hopper.jpg")).shape
        torch.Size([600, 512])
    """
    return tv_tensors.Mask(torch.from_numpy(parsing.labels.copy()), dtype=dtype)


class RandomHorizontalFlip(v2.RandomHorizontalFlip):  # type: ignore[misc]  # torchvision has no types
    """Mirror pictures, boxes and label maps; in label maps also swap left and right labels.

    A mirrored left arm is a right arm. torchvision's own transform keeps the label of the left arm, so a
    network trained with it cannot tell the sides apart. Bool masks have no labels and are only mirrored.

    Args:
        scheme: the scheme of the label maps, or its key; its `flip_pairs` are swapped.
        p: probability, 0-1, of mirroring a sample.

    Raises:
        SchemeError: no such scheme.

    Examples:
        >>> import torch
        >>> from torchvision.tv_tensors import Mask
        >>> from humanparse.adapters.torchvision import RandomHorizontalFlip
        >>> left_arm = Mask(torch.tensor([[0, 14]]))
        >>> RandomHorizontalFlip("atr", p=1.0)(left_arm).tolist()  # 15 is the right arm
        [[15, 0]]
    """

    def __init__(self, scheme: str | LabelScheme, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Mirror one item of a sample. torchvision calls this."""
        return self._renamed(super().transform(inpt, params))

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The name of `transform` in torchvision before 0.21."""
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
        """The arguments that its repr shows."""
        return f"scheme={self.scheme.key}, p={self.p}"
