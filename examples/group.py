"""Whose hair is it? Two portraits side by side, parsed as one group photo with the bundled model.

python examples/group.py group.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from humanparse import Parser, image

HERE = Path(__file__).parent
HEIGHT = 600


PHOTOS = {"astronaut.png": (0.0, 0.0, 0.75, 1.0), "grace_hopper.jpg": (0.1, 0.03, 1.0, 1.0)}
"""Where the person is, as shares of the photo's width and height: x0, y0, x1, y1."""


def group() -> tuple[np.ndarray, list[list[int]]]:
    """The two photos at one height in a row, and a box around each person: x0, y0, x1, y1 in pixels."""
    photos, boxes, left = [], [], 0
    for name, (x0, y0, x1, y1) in PHOTOS.items():
        photo = Image.fromarray(image.load(HERE / name))
        photo = photo.resize((round(photo.width * HEIGHT / photo.height), HEIGHT))
        photos.append(np.asarray(photo))
        corners = (left + x0 * photo.width, y0 * HEIGHT, left + x1 * photo.width, y1 * HEIGHT)
        boxes.append([round(corner) for corner in corners])
        left += photo.width
    return np.concatenate(photos, axis=1), boxes


def main(picture: str) -> None:
    """Print who has which parts, and draw them."""
    photo, boxes = group()
    parsing = Parser().predict(photo, people=boxes)
    for person in parsing.people:
        print(person)
        for part in person.parts():
            print(f"  {part.name:14} {part.pixels:7} pixels  box {part.box}")
    parsing.overlay(photo, legend=True).save(picture)


if __name__ == "__main__":
    main(sys.argv[1])
