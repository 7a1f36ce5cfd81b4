"""The families of networks, with what the rest of the package must know about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

_GRAPHS: tuple[Literal["openvino", "onnxruntime"], ...] = ("openvino", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Family:
    """One family of networks. Its file in `humanparse.models` has its name, with `_` for `-`.

    Attributes:
        name: as in a model's `family`.
        network: class in the family's file; it takes the number of labels and a model's `architecture`.
        title: the usual name of its checkpoints.
        marker: a key that only its checkpoints have.
        classifier: key of the weight with one row per label; None if there is no such weight.
        decoder: for a family whose networks output maps instead of logits, the function that finds people in
            them: `module:function` in `humanparse.pipelines`. It takes a model's `decode` as keyword
            arguments.
        faster: runtimes that were measured to be faster than torch in float32 on a CPU, the fastest first
            (`benchmarks/peers.py`).
        small: whether many photos were measured to be faster on a CPU side by side, a thread each, than one
            after the other with all threads (`benchmarks/bulk.py`).
        unused: endings of keys that its checkpoints may have, and that are not needed here.
        reads_off: whether the architecture is not fully known from public records, so that the function
            `read_off` in its file reads the rest from a checkpoint.
    """

    name: str
    network: str
    title: str
    marker: str
    classifier: str | None = None
    decoder: str | None = None
    faster: tuple[Literal["openvino", "onnxruntime"], ...] = ()
    small: bool = False
    unused: tuple[str, ...] = ()
    reads_off: bool = False

    @property
    def module(self) -> str:
        """Name of its file in `humanparse.models`, without the ending."""
        return self.name.replace("-", "_")


_TABLE = (
    Family("schp", "Schp", "SCHP", "fushion.0.weight", "fushion.3.weight", faster=_GRAPHS),
    Family("ce2p-v2", "Ce2pV2", "CE2P v2", "edge_layer.conv1.0.weight", "layer7.3.weight", faster=_GRAPHS),
    Family(
        "ce2p-v1",
        "Ce2pV1",
        "CE2P v1 or M-CE2P",
        "edgelayer.conv1.0.weight",
        "layer7.3.weight",
        faster=_GRAPHS,
    ),
    Family(
        "ssseg-ce2p",
        "Ce2p",
        "SSSegmentation CE2P",
        "edge_net.edge_conv.weight",
        "decoder_stage2.7.weight",
        faster=_GRAPHS,
    ),
    Family(
        "ssseg-upernet",
        "UperNet",
        "SSSegmentation UPerNet",
        "lateral_convs.0.0.weight",
        "decoder.4.weight",
        faster=_GRAPHS,
    ),
    Family("smp", "Smp", "SMP", "mask_head.solo_cate.weight", decoder="_smp_decoder:decode_smp"),
    Family(
        "uniparser",
        "UniParser",
        "UniParser",
        "mask_head.seg_kernels",
        decoder="_uniparser_decoder:decode_uniparser",
    ),
    Family(
        "segformer",
        "Segformer",
        "SegFormer",
        "decode_head.linear_fuse.weight",
        "decode_head.classifier.weight",
    ),
    Family(
        "sapiens2",
        "Sapiens2",
        "Sapiens2",
        "backbone.storage_tokens",
        "decode_head.conv_seg.weight",
        unused=("mask_token", "periods"),
        reads_off=True,
    ),
    Family("lite", "Lite", "Lite", "people_head.weight", small=True),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _TABLE})
"""Every family, by name."""
