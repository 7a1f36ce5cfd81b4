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
    return sorted({key.partition("/")[0] for key in recording(root, name)})


def synthetic_state(spec: str, stats: str) -> dict[str, Tensor]:
    """The weights that the originals were run with."""
    found = importlib.util.spec_from_file_location("synth_state", SMALL / "synth_state.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    state: dict[str, Tensor] = module.synth_state(
        module.load_spec(SMALL / "specs" / f"{spec}.json"),
        0,
        module.load_stats(SMALL / "stats" / f"{stats}.npz"),
    )
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
    """Every photo of these recordings, in every folder that is here."""
    return [Case(root, name, stem) for root in roots() for name in names for stem in stems(root, name)]
