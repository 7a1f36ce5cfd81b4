"""Read part maps as IntegratedPIFu's training does: masked, then each part by comparing for equality.

python examples/integratedpifu/consume.py tree maps
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

PARTS = {
    "head": 0.5,
    "torso": 0.6,
    "upper arms": 0.7,
    "lower arms": 0.8,
    "upper legs": 0.9,
    "lower legs": 1.0,
}


def parts_of(picture: Path, maps: Path) -> dict[str, int]:
    """Pixels of each part of one rendered picture; fails where a pixel is no part and not background."""
    name = picture.stem.replace("image", "parse")
    parse_map = torch.as_tensor(np.load(maps / picture.parent.name / f"{name}.npy"))
    with Image.open(picture.with_name(picture.name.replace("image", "mask"))) as rendered:
        mask = torch.as_tensor(np.asarray(rendered) > 0).float()
    assert parse_map.dtype == torch.float32 and parse_map.shape == mask.shape
    parse_map = parse_map * mask
    found = {part: int((parse_map == value).sum()) for part, value in PARTS.items()}
    assert sum(found.values()) + int((parse_map == 0).sum()) == parse_map.numel()
    return found


def main(tree: Path, maps: Path) -> None:
    """Print the parts of each picture."""
    for picture in sorted(tree.glob("rendering_script/buffer_fixed_full_mesh/*/*image*")):
        found = {part: pixels for part, pixels in parts_of(picture, maps).items() if pixels}
        print(f"{picture.parent.name}/{picture.name}: {found}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
