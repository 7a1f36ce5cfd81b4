"""How many labels change with the JPEG decoder and the OpenCV version, and how many with a real fault.

    python -m venv /tmp/old
    /tmp/old/bin/pip install "opencv-python-headless==4.5.5.64" "pillow==9.3.0" "numpy<2"
    python benchmarks/decoders.py --python /tmp/old/bin/python --python …

Each interpreter decodes the same JPEG files with its own Pillow and OpenCV, and does what SCHP's extractor
does with OpenCV: `warpAffine` of the photo to the network's input, and of the logits back to the photo. The
networks run here. What is compared with is humanparse as installed here. The numbers are the ground of the
tolerance of `humanparse verify`; no time is measured.

Photos: the examples, enlarged to 2000 x 1333 with some noise and saved at several qualities; `--photos` adds
those of a folder, enlarged likewise. Networks: the bundled model as it is, the bundled model behind SCHP's
geometry (trained weights, the original's steps), and SCHP with the synthetic weights of the tests, whose
label maps look like camouflage: a bound from above.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image, features
from rich.console import Console

from humanparse import Parser, checkpoint, image, registry
from humanparse.geometry import Frame
from humanparse.ops.bilinear import bilinear
from humanparse.pipelines.semantic import Semantic
from humanparse.verification.agreement import LARGE

ROOT = Path(__file__).parents[1]
SIZE = (1333, 2000)
Labels = npt.NDArray[np.uint8]

# Runs in the other interpreter, with numpy, Pillow and OpenCV only.
CHILD = """
import json, sys
import cv2, numpy as np, PIL
from PIL import Image, features
job = json.loads(sys.stdin.read())
told = {"opencv": cv2.__version__, "pillow": PIL.__version__}
told["pillow_jpeg"] = features.version("libjpeg_turbo")
build = [line for line in cv2.getBuildInformation().splitlines() if " JPEG: " in line]
told["opencv_jpeg"] = build[0].split("ver ")[1].split("-")[0]
for source, target in job.get("decode", []):
    np.save(target + ".opencv.npy", cv2.imread(source, cv2.IMREAD_COLOR)[..., ::-1])
    np.save(target + ".pillow.npy", np.asarray(Image.open(source).convert("RGB")))
for source, matrix, size, target in job.get("photo", []):
    picture = np.ascontiguousarray(np.load(source)[..., ::-1])
    np.save(target, cv2.warpAffine(picture, np.array(matrix), tuple(size)[::-1], flags=cv2.INTER_LINEAR))
for source, matrix, size, target in job.get("logits", []):
    best = labels = None
    for number, channel in enumerate(np.load(source)):
        back = cv2.warpAffine(channel, np.array(matrix), tuple(size)[::-1], flags=cv2.INTER_LINEAR)
        better = np.ones(back.shape, bool) if best is None else back > best
        best = back if best is None else np.where(better, back, best)
        labels = better.astype(np.uint8) * 0 if labels is None else np.where(better, np.uint8(number), labels)
    np.save(target, labels)
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Photo:
    """One JPEG file and its pixels as humanparse reads them."""

    file: Path
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Network:
    """A pipeline under the name that the tables show; `schp`: it has SCHP's geometry."""

    title: str
    pipeline: Semantic
    schp: bool

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Labels:
        """RGB uint8 (H, W, 3) -> labels (H, W)."""
        return self.pipeline.parse_batch([pixels])[0].labels

    def at_input(self, warped: npt.NDArray[np.uint8]) -> torch.Tensor:
        """A warped photo, BGR uint8 (h, w, 3) -> logits float32 (C, h, w)."""
        spec = self.pipeline.input
        given = torch.from_numpy(warped.copy() if spec.channels == "bgr" else warped[..., ::-1].copy())
        values = given.float() / (255 if spec.scale == "0-1" else 1)
        values = (values - torch.tensor(spec.mean)) / torch.tensor(spec.std)
        with torch.inference_mode():
            logits = self.pipeline.network(values.permute(2, 0, 1)[None])
            return bilinear(logits, warped.shape[:2], align_corners=True)[0]


def main(
    python: Annotated[list[Path], typer.Option(help="Interpreters with other versions; repeatable.")],
    photos: Annotated[Path | None, typer.Option(help="A folder of more photos, *.jpg.")] = None,
    count: Annotated[int, typer.Option(help="How many of them.")] = 4,
) -> None:
    """Print four tables in Markdown: decoders, OpenCV's warps, small differences, faults."""
    console = Console(width=10_000, highlight=False)
    print(
        f"Here: OpenCV {cv2.__version__}, Pillow {Image.__version__} ({features.version('libjpeg_turbo')}).\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = list(made_photos(folder, photos, count))
        all_networks = networks(folder)
        ours = {(net.title, photo.file): net(photo.pixels) for net in all_networks for photo in pictures}
        print(f"{len(pictures)} JPEG files of {SIZE[1]} x {SIZE[0]}.")
        heads = ["decoder", "files that differ", "bytes that differ", "largest difference"]
        heads += [f"labels that change: {net.title}" for net in all_networks]
        console.print(table(heads, decoders(folder, python, pictures, all_networks, ours)), markup=False)
        ious = "worst class's IoU"
        heads = ["OpenCV", "network", "input bytes that differ", "labels that change", ious]
        console.print(table(heads, warps(folder, python, pictures, all_networks, ours)), markup=False)
        heads = ["small difference", "network", "labels that change, at most", f"{ious}, at least"]
        console.print(table(heads, changes(SMALL, pictures, all_networks, ours, max, min)), markup=False)
        heads = ["fault", "network", "labels that change, at least", f"{ious}, at most"]
        console.print(table(heads, changes(FAULTS, pictures, all_networks, ours, min, max)), markup=False)


def made_photos(folder: Path, more: Path | None, count: int) -> Iterator[Photo]:
    """The JPEG files, written into a folder."""
    sources = [ROOT / "examples" / "grace_hopper.jpg", ROOT / "examples" / "astronaut.png"]
    if more is not None:
        found = sorted(more.glob("*.jpg"))
        sources += found[:: max(1, len(found) // count)][:count]
    random = np.random.default_rng(0)
    for number, source in enumerate(sources):
        width = round(SIZE[0] * (picture := Image.open(source).convert("RGB")).width / picture.height)
        enlarged = picture.resize((width, SIZE[0]), Image.Resampling.BICUBIC)
        canvas = Image.new("RGB", SIZE[::-1], (120, 130, 140))
        canvas.paste(enlarged, ((SIZE[1] - width) // 2, 0))
        noise = random.normal(0, 3, (*SIZE, 3))
        noisy = Image.fromarray(np.clip(np.asarray(canvas) + noise, 0, 255).astype(np.uint8))
        kinds = [(75, 2, False), (90, 2, False), (95, 0, True)] if number < 2 else [(85, 2, False)]
        for quality, subsampling, progressive in kinds:
            file = folder / f"{number}-{quality}.jpg"
            noisy.save(file, quality=quality, subsampling=subsampling, progressive=progressive)
            yield Photo(file, image.load(file))


def networks(folder: Path) -> list[Network]:
    """The three networks."""
    sys.path.insert(0, str(ROOT / "tests"))
    from golden import synthetic_state

    bundled = Parser(device="cpu", precision="float32", offline=True)
    plain = bundled.pipeline
    assert isinstance(plain, Semantic)
    schp = registry.network("schp-lip")
    file = folder / "schp.safetensors"
    checkpoint.save(synthetic_state("schp-lip", "schp"), file, {})
    synthetic = Parser("schp-lip", weights=file, device="cpu", precision="float32").pipeline
    assert isinstance(synthetic, Semantic)
    colours = {name: getattr(plain.input, name) for name in ("channels", "mean", "std", "scale")}
    square = replace(schp.input, size=(512, 512), **colours)
    return [
        Network(f"{bundled.spec.name} as it is", plain, False),
        Network(f"{bundled.spec.name} in SCHP's geometry", replace(plain, input=square), True),
        Network("SCHP, synthetic weights", synthetic, True),
    ]


def ask(python: Path, job: dict[str, Any]) -> dict[str, str]:
    """Have another interpreter do a job; what it says of its versions."""
    done = subprocess.run(
        [str(python), "-c", CHILD], input=json.dumps(job), capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise SystemExit(f"{python}: {done.stderr}")
    told: dict[str, str] = json.loads(done.stdout)
    return told


Ours = dict[tuple[str, Path], Labels]


def decoders(
    folder: Path, pythons: list[Path], photos: list[Photo], nets: list[Network], ours: Ours
) -> Iterator[list[str]]:
    """One row for each library that decodes: how far its pixels and the labels of them are from ours."""
    for number, python in enumerate(pythons):
        stems = [str(folder / f"decoded-{number}-{photo.file.stem}") for photo in photos]
        told = ask(
            python, {"decode": [[str(photo.file), stem] for photo, stem in zip(photos, stems, strict=True)]}
        )
        for library in ("opencv", "pillow"):
            title = f"{library} {told[library]} (libjpeg-turbo {told[f'{library}_jpeg']})"
            yield [
                title,
                *decoded_row([np.load(f"{stem}.{library}.npy") for stem in stems], photos, nets, ours),
            ]
    for title, decode in OTHER_DECODERS.items():
        yield [title, *decoded_row([decode(photo.file) for photo in photos], photos, nets, ours)]


def draft(file: Path) -> npt.NDArray[np.uint8]:
    """Chroma enlarged by repeating it, luma and chroma decoded apart: what decoders without smoothing do."""
    with Image.open(file) as picture:
        ycc = np.asarray(picture.convert("YCbCr"))
    coarse = ycc[::2, ::2, 1:].repeat(2, 0).repeat(2, 1)[: ycc.shape[0], : ycc.shape[1]]
    return np.asarray(Image.fromarray(np.concatenate((ycc[..., :1], coarse), axis=2), "YCbCr").convert("RGB"))


def resaved(file: Path) -> npt.NDArray[np.uint8]:
    """The photo, saved as JPEG once more at quality 95: a copy that somebody re-encoded."""
    again = io.BytesIO()
    Image.open(file).save(again, "JPEG", quality=95)
    return image.load(again.getvalue())


OTHER_DECODERS: dict[str, Callable[[Path], npt.NDArray[np.uint8]]] = {
    "chroma repeated, not interpolated": draft,
    "saved once more, quality 95": resaved,
}


def decoded_row(
    decoded: list[npt.NDArray[np.uint8]], photos: list[Photo], nets: list[Network], ours: Ours
) -> list[str]:
    pairs = list(zip(decoded, photos, strict=True))
    apart = [np.abs(pixels.astype(int) - photo.pixels) for pixels, photo in pairs]
    differing = [difference.any() for difference in apart]
    changed = []
    for net in nets:
        shares = [
            (net(pixels) != ours[net.title, photo.file]).mean() if differs else 0.0
            for (pixels, photo), differs in zip(pairs, differing, strict=True)
        ]
        changed.append(percent(max(shares)))
    share = max((difference > 0).mean() for difference in apart)
    return [f"{sum(differing)} of {len(photos)}", percent(share), str(max(a.max() for a in apart)), *changed]


def warps(
    folder: Path, pythons: list[Path], photos: list[Photo], nets: list[Network], ours: Ours
) -> Iterator[list[str]]:
    """One row for each OpenCV and network: SCHP's extractor with its `warpAffine`, both ways."""
    for number, photo in enumerate(photos):
        np.save(folder / f"photo-{number}.npy", photo.pixels)
    for python in pythons:
        for net in (net for net in nets if net.schp):
            bytes_apart, labels_apart, ious, version = [], [], [], ""
            for number, photo in enumerate(photos):
                frame = Frame(SIZE, net.pipeline.input)
                size = frame.input_size
                to_input, to_photo = matrices(size[0])
                job = [str(folder / f"photo-{number}.npy"), to_input, size, str(folder / "warped.npy")]
                version = ask(python, {"photo": [job]})["opencv"]
                warped = np.load(folder / "warped.npy")
                mine = frame.resample(photo.pixels).numpy()
                mine = mine if net.pipeline.input.channels == "bgr" else mine[..., ::-1]
                bytes_apart.append((warped != mine).mean())
                np.save(folder / "logits.npy", net.at_input(warped).numpy())
                ask(
                    python,
                    {"logits": [[str(folder / "logits.npy"), to_photo, SIZE, str(folder / "labels.npy")]]},
                )
                theirs = np.load(folder / "labels.npy")
                labels_apart.append((theirs != ours[net.title, photo.file]).mean())
                ious += class_ious(theirs, ours[net.title, photo.file])
            shares = percent(max(bytes_apart)), percent(max(labels_apart))
            yield [version, net.title, *shares, f"{min(ious):.3f}"]


def matrices(side: int) -> tuple[list[list[float]], list[list[float]]]:
    """SCHP's affine maps, photo to input and back (specification: schp §2.1)."""
    scale = (side - 1) / (max(SIZE) - 1)
    x, y = ((side - 1) / 2 - scale * (length - 1) / 2 for length in (SIZE[1], SIZE[0]))
    return [[scale, 0, x], [0, scale, y]], [[1 / scale, 0, -x / scale], [0, 1 / scale, -y / scale]]


Change = Callable[[Network, Photo, Labels], Labels]
Choose = Callable[[list[float]], float]


def changes(
    kinds: dict[str, Change],
    photos: list[Photo],
    nets: list[Network],
    ours: Ours,
    of_shares: Choose,
    of_ious: Choose,
) -> Iterator[list[str]]:
    """One row for each change and network: over all photos, the largest or the smallest effect."""
    for title, change in kinds.items():
        for net in nets:
            pairs = [
                (change(net, one, ours[net.title, one.file]), ours[net.title, one.file]) for one in photos
            ]
            share = of_shares([float((other != mine).mean()) for other, mine in pairs])
            iou = of_ious([min(class_ious(other, mine)) for other, mine in pairs])
            yield [title, net.title, percent(share), f"{iou:.3f}"]


def class_ious(found: Labels, wanted: Labels) -> list[float]:
    """IoU of each class that is wanted at a thousandth of the pixels or more, as `verify` asks."""
    classes = [label for label in np.unique(wanted) if (wanted == label).mean() >= LARGE]
    return [
        float(((found == label) & (wanted == label)).sum() / ((found == label) | (wanted == label)).sum())
        for label in classes
    ]


def shifted(pixels: int) -> Callable[[Network, Photo, Labels], Labels]:
    return lambda net, photo, labels: np.roll(labels, pixels, axis=1)


def swapped_channels(net: Network, photo: Photo, labels: Labels) -> Labels:
    return net(photo.pixels[..., ::-1].copy())


def one_level(net: Network, photo: Photo, labels: Labels) -> Labels:
    return net(np.clip(photo.pixels.astype(int) + 1, 0, 255).astype(np.uint8))


def other_corners(net: Network, photo: Photo, labels: Labels) -> Labels:
    turned = replace(net.pipeline.input, align_corners=not net.pipeline.input.align_corners)
    return replace(net.pipeline, input=turned).parse_batch([photo.pixels])[0].labels


def bfloat16(net: Network, photo: Photo, labels: Labels) -> Labels:
    with torch.autocast("cpu", torch.bfloat16):
        low = net.pipeline.network(Frame(SIZE, net.pipeline.input).fit(photo.pixels)[None])
    return Frame(SIZE, net.pipeline.input).back(low[0].float().detach())[0]


SMALL: dict[str, Change] = {"network in bfloat16": bfloat16, "photo one grey level brighter": one_level}
FAULTS: dict[str, Change] = {
    "labels shifted by 1 pixel": shifted(1),
    "labels shifted by 2 pixels": shifted(2),
    "align_corners the other way": other_corners,
    "red and blue exchanged": swapped_channels,
}


def table(heads: list[str], rows: Iterator[list[str]]) -> str:
    """Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    return "none" if share == 0 else f"{100 * share:.4f} %" if share < 1e-4 else f"{100 * share:.3f} %"


if __name__ == "__main__":
    typer.run(main)
