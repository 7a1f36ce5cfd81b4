"""Label maps in torchvision's transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from humanparse import Parser, Parsing, SchemeError, get_scheme
from humanparse.adapters.torchvision import RandomHorizontalFlip, to_mask
from humanparse.schemes import scheme_names

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
LIP = get_scheme("lip")


def test_a_parsings_labels_become_a_mask_of_its_own() -> None:
    parsing = Parser().predict(PHOTO)
    mask = to_mask(parsing)
    assert isinstance(mask, tv_tensors.Mask) and mask.dtype == torch.uint8
    assert np.array_equal(mask.numpy(), parsing.labels)
    mask.zero_()
    assert parsing.labels.any()
    assert to_mask(parsing, torch.int64).dtype == torch.int64


def test_a_mirrored_left_arm_is_a_right_arm() -> None:
    left, right = LIP.index("Left-arm"), LIP.index("Right-arm")
    mask = tv_tensors.Mask(torch.tensor([[left, 0, 5], [255, right, right]], dtype=torch.uint8))
    mirrored = RandomHorizontalFlip("lip", p=1)(mask)
    assert isinstance(mirrored, tv_tensors.Mask)
    assert mirrored.tolist() == [[5, 0, right], [left, left, 255]]


@given(
    labels=arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5))),
    scheme=st.sampled_from(scheme_names()),
    dtype=st.sampled_from([torch.uint8, torch.int64, torch.float32]),
)
def test_flipping_twice_changes_nothing(labels: np.ndarray, scheme: str, dtype: torch.dtype) -> None:
    mask = tv_tensors.Mask(torch.from_numpy(labels), dtype=dtype)
    flip = RandomHorizontalFlip(scheme, p=1)
    twice = flip(flip(mask))
    assert torch.equal(twice, mask) and twice.dtype == dtype


def test_pictures_boxes_and_masks_of_a_sample_move_together() -> None:
    picture = tv_tensors.Image(torch.arange(24, dtype=torch.uint8).reshape(1, 4, 6))
    box = tv_tensors.BoundingBoxes([[0, 1, 2, 3]], format="XYXY", canvas_size=(4, 6))
    labels = torch.zeros(4, 6, dtype=torch.uint8)
    labels[1:3, 0:2] = LIP.index("Left-shoe")
    where = tv_tensors.Mask(labels > 0)
    sample = {"image": picture, "labels": tv_tensors.Mask(labels), "boxes": box, "where": where, "id": 7}
    out = v2.Compose([RandomHorizontalFlip("lip", p=1), v2.ToDtype(torch.float32, scale=True)])(sample)
    assert out["id"] == 7 and isinstance(out["image"], tv_tensors.Image)
    assert torch.equal(out["image"], v2.functional.to_dtype(picture.flip(-1), torch.float32, scale=True))
    assert out["boxes"].tolist() == [[4, 1, 6, 3]]
    assert (out["labels"][1:3, 4:6] == LIP.index("Right-shoe")).all() and (out["labels"] > 0).sum() == 4
    assert torch.equal(out["where"], where.flip(-1))


def test_it_mirrors_as_often_as_it_is_told() -> None:
    flip, mask = RandomHorizontalFlip("lip", p=0.25), tv_tensors.Mask(torch.tensor([[1, 0]]))
    torch.manual_seed(0)
    mirrored = sum(bool(flip(mask)[0, 1]) for _ in range(400))
    assert 70 <= mirrored <= 130
    assert torch.equal(RandomHorizontalFlip("lip", p=0)(mask), mask)


class Labels(Dataset[torch.Tensor]):
    """Label maps that show the left arm on the left, through a transform."""

    def __init__(self, transform: v2.Transform) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        parsing = Parsing(np.array([[14, 0]], np.uint8), LIP)
        return self.transform(to_mask(parsing))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_it_travels_to_the_workers_of_a_loader(start: str) -> None:
    transform = v2.Compose([RandomHorizontalFlip("lip", p=1)])
    loader = DataLoader(Labels(transform), batch_size=4, num_workers=1, multiprocessing_context=start)
    assert next(iter(loader)).tolist() == [[[0, 15]]] * 4


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(SchemeError, match="known: lip"):
        RandomHorizontalFlip("lips")
    assert "scheme=lip, p=0.5" in repr(RandomHorizontalFlip("lip"))
