"""Region growing against the flood that it replaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanparse.arrays import Labels
from humanparse.ops.components import Instances, grow, grow_reference


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Labels, Instances]:
    """Classes in patches, and instances on some of their pixels, one class each."""
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = random.integers(0, draw(st.integers(1, 4)) + 1, (height, width)).astype(np.uint8)
    people = random.integers(0, 3, (height, width))
    people[random.random((height, width)) < draw(st.floats(0, 1))] = 0
    instances = np.where((people > 0) & (labels > 0), people * 10 + labels, 0).astype(np.int32)
    return labels, instances


@given(picture=pictures())
@settings(deadline=None, max_examples=400)
def test_growing_equals_the_flood(picture: tuple[Labels, Instances]) -> None:
    grown, seeds = grow(*picture)
    expected_grown, expected_seeds = grow_reference(*picture)
    assert np.array_equal(grown, expected_grown)
    assert np.array_equal(seeds, expected_seeds)


@given(picture=pictures())
@settings(deadline=None)
def test_a_pixel_joins_only_its_own_class_and_only_pixels_without_an_instance_join(
    picture: tuple[Labels, Instances],
) -> None:
    labels, instances = picture
    grown, seeds = grow(labels, instances)
    assert (instances.flat[grown] == 0).all() and (instances.flat[seeds] > 0).all()
    assert np.array_equal(labels.flat[grown], labels.flat[seeds])


def test_a_component_goes_whole_to_the_first_instance_in_raster_order() -> None:
    labels = np.array([[0, 0, 5, 5], [5, 5, 5, 0], [5, 0, 0, 0]], dtype=np.uint8)
    instances = np.array([[0, 0, 0, 2], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.int32)
    grown, seeds = grow(labels, instances)
    assert grown.tolist() == [2, 4, 5, 6] and set(seeds.tolist()) == {3}


@pytest.mark.parametrize("height", [0, 1, 3])
def test_nothing_grows_where_nothing_is_free(height: int) -> None:
    labels = np.ones((height, 4), dtype=np.uint8)
    for instances in (np.ones_like(labels, dtype=np.int32), np.zeros_like(labels, dtype=np.int32)):
        assert [len(part) for part in grow(labels, instances)] == [0, 0]
