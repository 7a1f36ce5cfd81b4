"""ATR's labels with a neck."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from humanparse import Parsing, SchemeError, get_scheme
from humanparse.adapters.neck import with_neck
from humanparse.people import Person

ATR, LIP = get_scheme("atr"), get_scheme("lip")
FACE, NECK = 11, 18
"""In ATR, and in what OOTDiffusion makes of it."""


@given(st.data())
def test_the_neck_is_where_atr_says_face_and_lip_does_not(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    labels = data.draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(18), 11, 11, 255])))
    other = data.draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(20), 13, 13, 255])))
    neck = with_neck(Parsing(labels, ATR, "schp-atr"), Parsing(other, LIP))
    by_hand = [
        [NECK if one == FACE and two != 13 else one for one, two in zip(*rows, strict=True)]
        for rows in zip(labels.tolist(), other.tolist(), strict=True)
    ]
    assert neck.labels.tolist() == by_hand
    assert (neck.scheme.key, neck.scheme.index("Neck"), neck.model) == ("atr-neck", NECK, "schp-atr")
    assert np.array_equal(neck.remap("atr").labels, labels)


def test_people_get_their_necks() -> None:
    labels = np.array([[FACE, FACE, 0], [FACE, 4, FACE]], np.uint8)
    lip = np.array([[13, 0, 0], [0, 5, 0]], np.uint8)
    mine = np.array([[True, True, False], [True, True, False]])
    person = Person.cut(1, (0, 0, 2, 2), 0.9, labels, mine, ATR, {"Face": 3.0})
    parsing = with_neck(Parsing(labels, ATR, people=(person,)), Parsing(lip, LIP))
    (after,) = parsing.people
    assert np.argwhere(after.part("neck")).tolist() == [[0, 1], [1, 0]]
    assert np.argwhere(parsing.mask("neck")).tolist() == [[0, 1], [1, 0], [1, 2]]
    assert after.scheme.key == "atr-neck" and after.part_scores == {}


def test_the_labels_are_kept_by_files(tmp_path: Path) -> None:
    labels = np.array([[FACE, FACE, 4]], np.uint8)
    parsing = with_neck(Parsing(labels, ATR), Parsing(np.array([[13, 0, 5]], np.uint8), LIP))
    assert Parsing.load(parsing.save(tmp_path / "neck.png")) == parsing
    assert parsing.mask("skin").tolist() == [[True, True, False]]


def test_other_labels_and_other_photos_are_refused() -> None:
    atr, lip = Parsing(np.zeros((2, 2), np.uint8), ATR), Parsing(np.zeros((2, 2), np.uint8), LIP)
    assert with_neck(atr, Parsing(lip.labels, get_scheme("cihp"))).size == (2, 2)
    with pytest.raises(SchemeError, match="lip's labels were passed instead of atr's"):
        with_neck(lip, atr)
    with pytest.raises(SchemeError, match="atr's labels were passed instead of lip or cihp's"):
        with_neck(atr, atr)
    with pytest.raises(SchemeError, match="two of the same photo"):
        with_neck(atr, Parsing(np.zeros((2, 3), np.uint8), LIP))
