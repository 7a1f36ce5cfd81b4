"""People in a photo: Mask R-CNN (He et al., ICCV 2017) and Faster R-CNN (Ren et al., NeurIPS 2015).

Original: torchvision, BSD-3-Clause, trained on COCO. Only detections of the class person are kept.
Differs from the original: it downloads no weights, and drops weak detections before it computes masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops.float32 import exact_float32

_PERSON = 1
_CLASSES = 91


class Detector(nn.Module):
    """RGB image (3, H, W), 0-1 -> boxes, scores and masks of its people.

    Args:
        builder: name of a builder in `torchvision.models.detection`.
        min_score: weaker detections (0-1) are dropped.
    """

    def __init__(self, builder: str, min_score: float = 0.5) -> None:
        super().__init__()
        from torchvision.models import detection

        build = getattr(detection, builder)
        with torch.device("cpu"):
            network = build(
                weights=None, weights_backbone=None, num_classes=_CLASSES, box_score_thresh=min_score
            )
        self.network = network.float()  # float32 even if torch's default type is another
        self.eval()

    @torch.inference_mode()
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """See the class.

        Returns:
            boxes float32 (N, 4), x0, y0, x1, y1 in pixels; scores float32 (N,), descending; masks bool
            (N, H, W), none of them empty, or None if the network has no masks.
        """
        with exact_float32(image.device):
            (found,) = self.network([image])
        chosen = found["labels"] == _PERSON
        boxes, scores = found["boxes"][chosen], found["scores"][chosen]
        if "masks" not in found:
            return boxes, scores, None
        masks = found["masks"][chosen, 0] >= 0.5
        seen = masks.flatten(1).any(dim=1)
        return boxes[seen], scores[seen], masks[seen]
