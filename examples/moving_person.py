"""Make a two-second clip of a person who moves past the camera, from a photo.

python examples/moving_person.py clip.mp4
"""

import sys
from pathlib import Path

import cv2
import numpy as np

PHOTO = Path(__file__).with_name("astronaut.png")
WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 50, 25


def main(path: Path) -> None:
    """Write the clip."""
    photo = cv2.imread(str(PHOTO))
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        time = number / FRAMES
        x, y = 160 - 80 * np.sin(2 * np.pi * time), 20 + 10 * np.cos(4 * np.pi * time)
        video.write(cv2.warpAffine(photo, np.array([[0.6, 0, x - 80], [0, 0.6, y - 20]]), (WIDTH, HEIGHT)))
    video.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
