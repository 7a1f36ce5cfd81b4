"""The folders of LIP, ATR, Pascal-Person-Part, CIHP and LV-MHP v2, as their archives are published.

`own` is for a user's own photos and label maps, in the label scheme of the scored model.

A layout is data: for each kind of file, the places where it may be, in the order in which they are tried.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Where a data set has its files.

    In a place, `{split}` stands for the split's name and `{folder}` for the split's folder.

    Attributes:
        title: the data set's name.
        scheme: key of its label scheme; None if it is that of the scored model.
        splits: name of each split -> its folder; the first is the one that papers score on.
        lists: files with one stem per line.
        images: folders of photos.
        labels: folders of label maps; with `per_person`, of one map for each person.
        humans: folders of maps of people; may be empty.
        instances: folders of maps of part instances; may be empty.
        per_person: whether each person has a label map, `<stem>_<how many>_<which>.png`.
    """

    title: str
    scheme: str | None
    splits: dict[str, str]
    lists: tuple[str, ...]
    images: tuple[str, ...]
    labels: tuple[str, ...]
    humans: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    per_person: bool = False


def _in(tops: tuple[str, ...], *places: str) -> tuple[str, ...]:
    return tuple(f"{top}{place}" for top in tops for place in places)


_LIP_TOPS = ("", "TrainVal_images/", "TrainVal_images/TrainVal_images/")
_LIP_LABEL_TOPS = tuple(top.replace("images", "parsing_annotations") for top in _LIP_TOPS)
_ATR_TOPS = ("", "humanparsing/")
_CIHP_TOPS = ("", "instance-level_human_parsing/", "instance-level_human_parsing/" * 2)
_MHP_TOPS = ("", "LV-MHP-v2/")

LAYOUTS = {
    "lip": Layout(
        title="LIP",
        scheme="lip",
        splits={"val": "val", "train": "train"},
        lists=_in(_LIP_TOPS, "{split}_id.txt"),
        images=_in(_LIP_TOPS, "{split}_images"),
        labels=_in(_LIP_LABEL_TOPS, "{split}_segmentations"),
    ),
    "atr": Layout(  # the archive has no lists: the user adds one, or all photos are taken
        title="ATR",
        scheme="atr",
        splits={"test": "", "val": "", "train": "", "all": ""},
        lists=_in(_ATR_TOPS, "{split}_id.txt", "{split}.txt"),
        images=_in(_ATR_TOPS, "JPEGImages"),
        labels=_in(_ATR_TOPS, "SegmentationClassAug"),
    ),
    "pascal": Layout(
        title="Pascal-Person-Part",
        scheme="pascal",
        splits={"val": "", "train": "", "trainval": ""},
        lists=(
            *_in(("", "pascal_person_part/"), "pascal_person_part_trainval_list/{split}.txt"),
            "{split}_id.txt",
        ),
        images=("JPEGImages", "VOC2010/JPEGImages", "VOCdevkit/VOC2010/JPEGImages"),
        labels=_in(("", "pascal_person_part/"), "pascal_person_part_gt"),
    ),
    "cihp": Layout(
        title="CIHP",
        scheme="cihp",
        splits={"val": "Validation", "train": "Training"},
        lists=_in(_CIHP_TOPS, "{folder}/{split}_id.txt", "{split}_id.txt", "{split}.txt"),
        images=_in(_CIHP_TOPS, "{folder}/Images"),
        labels=_in(_CIHP_TOPS, "{folder}/Category_ids"),
        humans=_in(_CIHP_TOPS, "{folder}/Human_ids"),
        instances=_in(_CIHP_TOPS, "{folder}/Instance_ids"),
    ),
    "mhpv2": Layout(
        title="LV-MHP v2",
        scheme="mhpv2",
        splits={"val": "val", "train": "train"}
        | {f"test_{which}": "test" for which in ("all", "inter_top20", "inter_top10")},
        lists=_in(_MHP_TOPS, "list/{split}.txt"),
        images=_in(_MHP_TOPS, "{folder}/images"),
        labels=_in(_MHP_TOPS, "{folder}/parsing_annos"),
        per_person=True,
    ),
    "own": Layout(
        title="own",
        scheme=None,
        splits={"all": "", "test": "", "val": "", "train": ""},
        lists=("{split}.txt", "{split}_id.txt"),
        images=("images",),
        labels=("labels",),
    ),
}
