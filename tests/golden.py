"""Recorded outputs of the originals: the small set in tests/data, and the full one where it is to be had."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SMALL = Path(__file__).parent / "data" / "golden"
FULL = Path(os.environ.get("HUMANPARSE_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))


def roots() -> list[Path]:
    """The folders of recordings that are here."""
    return [root for root in (SMALL, FULL) if root.is_dir()]


def image_path(root: Path, stem: str) -> Path:
    return next((root / "images").glob(f"{stem}.*"))


@cache
def recording(root: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """All arrays of one file, such as `schp/lip`."""
    with np.load(root / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def stems(root: Path, name: str) -> list[str]:
    return sorted({key.partition("/")[0] for key in recording(root, name)} - {"state"})


CLASSIFIERS = (
    "decoder_stage1.7.",
    "decoder_stage2.7.",
    "decoder.4.",
    "auxiliary_decoder.4.",
    "layer6.conv4.",
    "layer7.3.",
)


def synthetic_state(
    spec: str, stats: str, classes: int | None = None, recorded: str = ""
) -> dict[str, Tensor]:
    """The weights that the originals were run with.

    Args:
        spec, stats: names of the files of shapes and of running statistics.
        classes: number of labels, where it is not the spec's own.
        recorded: recording whose `state/` arrays replace tensors.
    """
    found = importlib.util.spec_from_file_location("synth_state", SMALL / "synth_state.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    wanted = [f"specs/{spec}.json", f"stats/{stats}.npz"]
    root = next(root for root in roots() if all((root / file).is_file() for file in wanted))
    shapes = module.load_spec(root / "specs" / f"{spec}.json")
    if classes is not None:
        shapes |= {key: [classes, *shape[1:]] for key, shape in shapes.items() if key.startswith(CLASSIFIERS)}
    state: dict[str, Tensor] = module.synth_state(
        shapes, 0, module.load_stats(root / "stats" / f"{stats}.npz")
    )
    if recorded:
        arrays = recording(next(r for r in roots() if (r / f"{recorded}.npz").is_file()), recorded)
        state |= {
            key.removeprefix("state/"): torch.from_numpy(value).float()
            for key, value in arrays.items()
            if key.startswith("state/")
        }
    return state


def unpacked(bits: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A mask that was stored with `np.packbits`."""
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)


@dataclass(frozen=True)
class Case:
    """One photo of one recording."""

    root: Path
    name: str
    stem: str

    def __str__(self) -> str:
        return f"{'small' if self.root == SMALL else 'full'}-{self.name.replace('/', '-')}-{self.stem}"

    @property
    def photo(self) -> Path:
        return image_path(self.root, self.stem)

    def __getitem__(self, key: str) -> npt.NDArray[Any]:
        return recording(self.root, self.name)[f"{self.stem}/{key}"]

    def mask(self, key: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        return unpacked(self[key], shape)


def cases(*names: str) -> list[Case]:
    """Every photo of these recordings, in every folder that has them."""
    held = [(root, name) for root in roots() for name in names if (root / f"{name}.npz").is_file()]
    return [Case(root, name, stem) for root, name in held for stem in stems(root, name)]


def assert_same_labels(
    ours: npt.NDArray[np.uint8],
    theirs: npt.NDArray[np.uint8],
    unsure: npt.NDArray[np.bool_],
    several: int = 5,
) -> None:
    """Equal but where unsure, and nearly everywhere; a recording of few labels would prove little."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert len(np.unique(theirs)) >= several
    differ = ours != theirs
    assert not (differ & ~unsure).any()
    assert differ.mean() <= 1e-3
