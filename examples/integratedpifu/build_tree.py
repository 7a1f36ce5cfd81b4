"""Make a small folder laid out as IntegratedPIFu's: two "subjects" from the photos here, four sides each.

python examples/integratedpifu/build_tree.py tree
"""

import sys
from pathlib import Path

from PIL import Image

PHOTOS = Path(__file__).parents[1]
SUBJECTS = {"0001": "astronaut.png", "0002": "grace_hopper.jpg"}
SIDES = (0, 90, 180, 270)  # degrees; a real tree has 36
SIZE = 256  # pixels; a real tree has 1024


def main(tree: Path) -> None:
    """Write the lists, and per subject and side a picture and the mask of what was rendered."""
    for subject, photo in SUBJECTS.items():
        folder = tree / "rendering_script" / "buffer_fixed_full_mesh" / subject
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(PHOTOS / photo) as picture:
            square = picture.convert("RGB").resize((SIZE, SIZE))
        for side in SIDES:
            shift = round(SIZE * side / 720)  # photos have one side only: move them a little instead
            rendered = Image.new("RGB", (SIZE, SIZE))
            rendered.paste(square, (shift, 0))
            mask = Image.new("L", (SIZE, SIZE))
            mask.paste(255, (shift, 0, SIZE, SIZE))
            rendered.save(folder / f"rendered_image_{side:03d}.png")
            mask.save(folder / f"rendered_mask_{side:03d}.png")
    (tree / "train_set_list.txt").write_text("0001\n", encoding="utf-8")
    (tree / "test_set_list.txt").write_text("0002\n0001\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
