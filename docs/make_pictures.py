"""Draw the label sets: number, colour and name of each label, from the schemes themselves.

python docs/make_pictures.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from humanparse.schemes import LabelScheme, get_scheme, scheme_names

PICTURES = Path(__file__).with_name("pictures")
ROW, SWATCH, TEXT, ROWS = 24, 32, 215, 30
"""Pixels of a row, a colour and a name; rows before the next column. All fixed: text may differ by a font's
version, the places of the colours not."""


def palettes(scheme: LabelScheme) -> list[str]:
    """Names of a scheme's palettes: that for looking at, PASCAL-VOC's, and others."""
    return list(dict.fromkeys(["display", "voc", *(name for name, _ in scheme.palettes)]))


def place(scheme: LabelScheme, label: int, palette: int = 0) -> tuple[int, int]:
    """Left upper corner (x, y) of a label's colour in one of the scheme's palettes."""
    width = SWATCH * len(palettes(scheme)) + TEXT
    return ROW // 2 + label // ROWS * width + palette * SWATCH, ROW // 2 + label % ROWS * ROW


def draw(scheme: LabelScheme) -> Image.Image:
    """White RGB picture with a line for each label: its colour in each palette, number and (first) name."""
    columns, several = -(-len(scheme) // ROWS), len(palettes(scheme))
    width = ROW + columns * (SWATCH * several + TEXT)
    picture = Image.new("RGB", (width, ROW + ROW * min(len(scheme), ROWS)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for label, name in enumerate(scheme.names):
        for number, palette in enumerate(palettes(scheme)):
            x, y = place(scheme, label, number)
            box = (x, y + 2, x + SWATCH - 6, y + ROW - 3)
            pen.rectangle(box, fill=scheme.palette(palette)[label], outline="black")
        x, y = place(scheme, label, several)
        text = f"{label}  {name.partition(', ')[0]}"  # of several names the first
        while font.getlength(text) >= TEXT:
            text = text.rstrip("…")[:-1] + "…"
        pen.text((x, y + ROW // 2), text, fill="black", font=font, anchor="lm")
    return picture


def main() -> None:
    """Write a PNG for each scheme."""
    for key in scheme_names():
        draw(get_scheme(key)).save(PICTURES / f"labels_{key}.png", optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    main()
