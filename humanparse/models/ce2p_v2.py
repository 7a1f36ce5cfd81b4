"""CE2P as its authors rewrote it in 2019 (Ruan et al., AAAI 2019, arXiv:1809.05996): SCHP's ancestor.

Original: liutinglt/CE2P after February 2019, no licence. SCHP's network under other names, and with its
differences from the original.
"""

from __future__ import annotations

from torch import Tensor

from ._blocks import Edge, PyramidPooling
from .schp import Backbone, Decoder, fusion_head


class Ce2pV2(Backbone):
    """BGR-normalised image (B, 3, H, W) -> part logits (B, C, ceil(H/4), ceil(W/4)).

    Args:
        num_classes: C.
        layers: bottlenecks per stage.
        decoder_align_corners: how the decoder enlarges the context. The original code used False until March
            2019, after the published weights were trained, and True since. Which one these weights need is
            not known.
    """

    def __init__(
        self, num_classes: int, layers: tuple[int, ...] = (3, 4, 23, 3), decoder_align_corners: bool = True
    ) -> None:
        super().__init__(layers)
        self.layer5 = PyramidPooling(2048, 512)
        self.edge_layer = Edge()
        self.layer6 = Decoder(num_classes, decoder_align_corners)
        self.layer7 = fusion_head(num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) with h = ceil(H/4), w = ceil(W/4)."""
        x2, x3, x4, x5 = self.stages(image)
        part = self.layer6(self.layer5(x5), x2)  # (B, 256, h, w)
        edge = self.edge_layer(x2, x3, x4)  # (B, 256, h, w) (B, 256, h/2, w/2) (B, 256, h/4, w/4)
        logits: Tensor = self.layer7(part, *edge)
        return logits
