"""Parse one photo with the bundled model: print its parts, save labels, an overlay, the upper clothes alone.

python examples/parse_photo.py examples/grace_hopper.jpg parsed
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from humanparse import Parser, image


def main(photo: str, folder: str) -> None:
    """Write four files into `folder`."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    parsing = Parser().predict(photo, confidence=True)
    for part in parsing.parts():
        print(f"{part.name:14} {100 * part.share:5.1f}%  box {part.box}")
    parsing.save(out / "labels.png")
    parsing.save(out / "parts.json")
    parsing.overlay(photo, legend=True).save(out / "overlay.png")
    clothes = np.where(parsing.mask("Upper-clothes")[..., None], image.load(photo), 255).astype(np.uint8)
    Image.fromarray(clothes).save(out / "upper_clothes.png")


if __name__ == "__main__":
    main(*sys.argv[1:3])
