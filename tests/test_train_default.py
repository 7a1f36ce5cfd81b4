"""The recipe of the bundled model, on synthetic shapes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from humanparse.models.lite import Lite

RECIPE = Path(__file__).parents[1] / "examples" / "train_default"
MODULES = ("train", "augment", "photos", "score", "card", "imagenet", "targets", "crowds", "pseudo")
SMALL = (((64, 64), 4, 0.5), ((96, 64), 4, 0.5))


def small_net(*_: object, **__: object) -> nn.Module:
    return Lite(width=0.25, depth=0.5, widths=(16, 16, 32, 32), attention=1)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipe's modules, which are no package: found by path, forgotten afterwards."""
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    monkeypatch.syspath_prepend(str(RECIPE))
    import train  # type: ignore[import-not-found]

    monkeypatch.setattr(train, "build", small_net)
    yield train
    for name in MODULES:
        sys.modules.pop(name, None)
        if before[name] is not None:
            sys.modules[name] = before[name]


def figures(photos: ModuleType, many: int = 6) -> list[Any]:
    """Paper dolls: a face, a blue jacket, an arm in each colour on either side, dark trousers, shoes."""
    made = []
    for seed in range(many):
        rng = np.random.default_rng(seed)
        image = rng.integers(90, 130, (160, 100, 3)).astype(np.uint8)
        labels = np.zeros((160, 100), np.uint8)
        x = int(rng.integers(30, 50))
        doll = [
            (11, 10, 30, x, x + 20, (230, 180, 150)),
            (4, 30, 80, x - 5, x + 25, (20, 40, 200)),
            (14, 35, 80, x + 25, x + 33, (240, 40, 40)),
            (15, 35, 80, x - 13, x - 5, (40, 240, 40)),
            (6, 80, 140, x, x + 20, (10, 10, 10)),
            (9, 140, 150, x + 10, x + 22, (250, 250, 20)),
            (10, 140, 150, x - 2, x + 10, (250, 20, 250)),
        ]
        for part, y0, y1, x0, x1, colour in doll:
            image[y0:y1, x0:x1], labels[y0:y1, x0:x1] = colour, part
        made.append(photos.Photo(image, labels))
    return made


def grounds() -> list[Any]:
    return [np.random.default_rng(9).integers(0, 256, (80, 120, 3), np.uint8)]


def trainer(recipe: Any, work: Path, **plan: Any) -> Any:
    settings = {"epochs": 1000, "warmup": 5, "frozen": 0, "shapes": (SMALL, SMALL), **plan}
    photos = figures(sys.modules["photos"])
    return recipe.Trainer(recipe.Plan(**settings), photos, grounds(), work, workers=0)


def test_loss_falls_within_a_few_steps(recipe: Any, tmp_path: Path) -> None:
    losses = list(trainer(recipe, tmp_path).run(30))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_resumed_run_ends_where_an_uncut_one_does(recipe: Any, tmp_path: Path) -> None:
    uncut = trainer(recipe, tmp_path / "uncut")
    expected = list(uncut.run(6))
    cut = trainer(recipe, tmp_path / "cut")
    losses = list(cut.run(3))
    cut.save()
    resumed = trainer(recipe, tmp_path / "cut")
    assert resumed.state.step == 3
    losses += list(resumed.run(3))
    assert losses == pytest.approx(expected, rel=1e-3)
    assert resumed.state.seen == uncut.state.seen
    wanted = uncut.average.state_dict()
    for name, value in resumed.average.state_dict().items():
        assert torch.allclose(value, wanted[name], atol=1e-3), name


def test_run_stops_at_the_end_of_its_plan(recipe: Any, tmp_path: Path) -> None:
    run = trainer(recipe, tmp_path, epochs=2)
    assert len(list(run.run())) == 3  # 12 pictures, 4 a step
    assert run.progress() == 1


def test_flip_swaps_left_and_right_labels_and_nothing_else(recipe: Any) -> None:
    augment, photos = sys.modules["augment"], sys.modules["photos"]
    photo = figures(photos, 1)[0]
    height, width = photo.labels.shape
    mirror = np.array([[-1.0, 0, width], [0, 1, 0]])
    _, straight = augment.look(photo, np.eye(2, 3), (height, width), False, (0, 0, 0))
    image, flipped = augment.look(photo, mirror, (height, width), True, (0, 0, 0))
    assert np.abs(image.astype(int) - photo.image[:, ::-1]).max() <= 1
    table = photos.mirror_table()
    expected = table[straight[:, ::-1]]
    limbs = np.isin(expected, photos.PAIRS)
    assert limbs.sum() > 500
    assert (flipped == expected)[limbs].mean() > 0.8  # a label's edge may move by a pixel
    assert (flipped == expected).mean() > 0.97
    assert np.array_equal(table[table], np.arange(256))


def test_clothes_are_dyed_and_nothing_else(recipe: Any) -> None:
    augment, photos = sys.modules["augment"], sys.modules["photos"]
    photo = figures(photos, 1)[0]
    rows, columns = photo.labels.shape
    image = (photo.image * np.linspace(0.5, 1, rows)[:, None, None]).astype(np.uint8)
    garments = np.isin(photo.labels, sum(augment.GARMENTS, ()))
    far = cv2.dilate(garments.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    shirt = photo.labels == 4
    changes, folds = [], []
    for seed in range(20):
        made = augment.dyed(np.random.default_rng(seed), image, photo.labels)
        assert np.array_equal(made[far], image[far])
        changes.append(np.abs(made.astype(int) - image)[garments].mean())
        folds.append(np.corrcoef(made[shirt].mean(1), image[shirt].mean(1))[0, 1])
    assert np.mean(changes) > 30 and np.median(folds) > 0.95
    shown = photos.Photo(image, photo.labels)
    plain, labels = augment.look(shown, np.eye(2, 3), (rows, columns), False, (0, 0, 0))
    dyed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        made, same = augment.look(shown, np.eye(2, 3), (rows, columns), False, (0, 0, 0), rng)
        assert np.array_equal(same, labels)
        dyed += not np.array_equal(made, plain)
    assert 25 < dyed < 55


def test_same_key_gives_the_same_canvas(recipe: Any) -> None:
    dataset = recipe.Canvases(figures(sys.modules["photos"]), grounds(), seed=3)
    for nth in range(8):
        first, again = dataset[(nth, nth % 6, (96, 64))], dataset[(nth, nth % 6, (96, 64))]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert first[0].shape == (96, 64, 3) and first[1].shape == (48, 32) and first[2].shape == (4, 24, 16)


def test_offsets_lead_from_every_pixel_to_its_persons_centre(recipe: Any) -> None:
    who = np.zeros((30, 40), np.uint8)
    who[4:20, 5:11], who[10:29, 20:32], who[0, 39] = 1, 2, 3  # the last one shows too little to have a centre
    heat, down, right, weight = sys.modules["targets"].people_targets(who)
    rows, columns = np.mgrid[:30, :40]
    for person, centre in ((1, (11.5, 7.5)), (2, (19.0, 25.5))):
        mask = who == person
        assert np.allclose((rows + down * 8)[mask], centre[0]) and np.allclose(
            (columns + right * 8)[mask], centre[1]
        )
    assert np.array_equal(weight > 0, (who == 1) | (who == 2))
    assert (heat == 1).sum() == 2 and heat[0, 39] < 0.1


def test_frozen_stages_keep_their_weights_and_statistics(recipe: Any, tmp_path: Path) -> None:
    run = trainer(recipe, tmp_path, frozen=2)
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    list(run.run(3))
    moved = {name for name, value in run.net.state_dict().items() if not torch.equal(value, before[name])}
    still = ("encoder.stem.", "encoder.stages.0.", "encoder.stages.1.")
    assert moved and not any(name.startswith(still) for name in moved)


def test_the_head_of_people_can_be_trained_alone(recipe: Any, tmp_path: Path) -> None:
    run = trainer(recipe, tmp_path, only_people=True)
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    list(run.run(3))
    for net in (run.net, run.average):
        moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert {name.partition(".")[0] for name in moved} == {"people8", "people4", "people_head"}


def test_several_weights_to_begin_with_are_averaged(recipe: Any, tmp_path: Path) -> None:
    for number, value in enumerate((1.0, 2.0, 6.0)):
        save_file(
            {"conv": torch.full((2, 3), value, dtype=torch.float16)}, tmp_path / f"{number}.safetensors"
        )
    found = recipe.mean_of(sorted(tmp_path.iterdir()))
    assert found.keys() == {"conv"} and found["conv"].dtype == torch.float32 and (found["conv"] == 3).all()


def test_neck_beside_the_face_becomes_face_and_other_skin_stays_unknown(recipe: Any) -> None:
    labels = np.zeros((100, 60), np.uint8)
    labels[10:40, 20:40] = 11
    labels[40:52, 25:35] = 255  # the neck
    labels[80:90, 25:35] = 255  # a belly
    skin = labels > 0
    found = sys.modules["photos"].with_neck(labels, skin)
    assert (found[40:52, 25:35] == 11).all() and (found[80:90, 25:35] == 255).all()


def test_tags_forbid_other_garments_and_unsure_parts_become_unknown(recipe: Any) -> None:
    import pseudo  # type: ignore[import-not-found]

    found = np.full((18, 4, 6), 1e-3, np.float32)
    found[7, :, :2], found[5, :, :2] = 0.6, 0.3  # dress rather than skirt, but the tags know no dress
    found[4, :, 2:4], found[6, :, 2:4] = 0.5, 0.45
    found[0, :, 4:], found[4, :, 4:] = 0.55, 0.4  # background may be less sure
    allowed = np.isin(np.arange(18), [*pseudo.BODY, 4, 5, 6]).astype(np.float32)
    labels = pseudo.label(found, allowed, (8, 12), 0.7)
    assert (labels[:, :3] == 5).all() and (labels[:, 5:7] == 255).all() and (labels[:, 9:] == 0).all()


def test_a_tag_raises_the_odds_of_a_rare_garment(recipe: Any) -> None:
    import pseudo

    counted = np.zeros((18, 18), np.int64)  # of 18 photos all show clothes, ten trousers, two a scarf
    counted[:, 4], counted[:10, 6], counted[[3, 12], 17] = 400, 200, 200
    factors = pseudo.evidence(counted)
    assert factors[[6, 17]] == pytest.approx([1.8, 9]) and (factors[list(pseudo.BODY)] == 1).all()
    found = np.full((18, 4, 6), 1e-4, np.float32)
    found[4], found[17] = 0.7, 0.29  # like clothes, but the photo is known to show a scarf
    assert (pseudo.label(found, factors * np.isin(np.arange(18), [0, 4, 17]), (8, 12), 0.6) == 17).all()


def test_people_beside_the_photos_person_are_others(recipe: Any) -> None:
    import pseudo

    labels = np.zeros((120, 100), np.uint8)
    labels[10:90, 40:60], labels[95:105, 45:55] = 4, 9  # a person; a shoe below a gap
    labels[30:70, 80:95] = 6  # somebody else
    found = pseudo.alone(labels)
    assert (found[30:70, 80:95] == 254).all() and np.array_equal(found[:, :70], labels[:, :70])
    seen = labels > 0
    seen[8:92, 37:63] = True  # the network's edge of the person is a little wider
    seen[110:114, 5:9] = True  # and a spot
    passing = pseudo.apart(seen, np.where(labels == 6, 0, labels))
    assert np.array_equal(passing, labels == 6)


def test_others_are_neither_people_nor_background(recipe: Any) -> None:
    augment, photos, targets = (sys.modules[name] for name in ("augment", "photos", "targets"))
    one = figures(photos, 1)[0]
    labels = one.labels.copy()
    labels[:, 85:] = photos.OTHERS
    photo = photos.Photo(one.image, labels)
    kinds = set()
    for seed in range(60):
        _, parts, who = augment.canvas(np.random.default_rng(seed), photo, [photo], grounds(), (96, 64))
        assert photos.OTHERS not in parts and set(np.unique(who)) <= {*range(8), photos.OTHERS}
        kinds.add((bool((who == photos.OTHERS).any()), bool(((who > 1) & (who < 9)).any())))
    assert len(kinds) > 2  # with and without others, one person and several
    rng, size = np.random.default_rng(0), (160, 100)
    image, parts, who = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    pasted = augment.paste(image, parts, who, photo, np.eye(2, 3), False, 1, False)
    assert not parts[:, 85:].any() and not who[:, 85:].any() and not pasted[:, 87:].any()
    wide = photos.Photo(np.tile(one.image, (1, 2, 1)), np.tile(labels, (1, 2)))
    assert augment.scenery(rng, wide, size) is None
    ids = np.zeros((30, 40), np.uint8)
    ids[4:20, 5:11], ids[:, 20:30] = 1, photos.OTHERS
    heat, *_, weight = targets.people_targets(ids)
    assert (heat == 1).sum() == 1 and (heat[:, 20:30] == np.float32(targets.NEITHER)).all()
    assert np.array_equal(weight > 0, ids == 1)
    made = torch.from_numpy(targets.people_targets(ids))[None]
    silent, shouting = torch.zeros(2, 1, 3, 30, 40)
    shouting[0, 0, :, 20:30] = 9  # a centre there costs nothing
    losses = [float(recipe.people_loss(found, made)) for found in (silent, shouting)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_people_abreast_stand_in_order_and_overlap(recipe: Any) -> None:
    augment, photos = sys.modules["augment"], sys.modules["photos"]
    photo = figures(photos, 1)[0]
    for people in (2, 4, 6):
        middles, scales = [], []
        for place in range(people):
            rng = np.random.default_rng(place)
            matrix, flip = augment.abreast(rng, photo, (160, 240), place, people)
            x0, y0, x1, _ = photo.boxes["person"]
            corners = matrix @ np.array([[x0, x1], [y0, y0], [1, 1]])
            assert flip == bool(matrix[0, 0] < 0) and 0 < corners[1, 0] < 100  # the head is on the canvas
            middles.append(corners[0].mean())
            scales.append(abs(corners[0, 1] - corners[0, 0]))
        assert middles == sorted(middles) and 0.7 < np.mean(scales) * people / 240 < 1.9


def test_places_are_drawn_three_times_as_often_as_clothes(recipe: Any, tmp_path: Path) -> None:
    for name, many in (("garments", 20), ("places", 10)):
        (tmp_path / name).mkdir()
        for number in range(many):
            picture = np.full((8, 8, 3), 200 if name == "places" else 50, np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number:02}.jpg")
    training, held = sys.modules["photos"].load_grounds(tmp_path)
    bright = sum(int(image.mean() > 100) for image in training)
    assert len(held) == 3 and len(training) - bright == 18 and bright == 3 * 18


def test_crowd_scores_count_each_true_person_once(recipe: Any) -> None:
    import crowds  # type: ignore[import-not-found]

    who = np.zeros((60, 80), np.uint8)
    who[5:45, 5:25], who[10:50, 40:60] = 1, 2
    labels = np.where(who > 0, 4, 0).astype(np.uint8)
    labels[30:, :] = np.where(who[30:] > 0, 6, 0)

    def found(person: int, score: float) -> Any:
        mask = who == person
        return crowds.Found(score, crowds.tight_box(mask), np.where(mask, labels, 0))

    image = np.zeros((60, 80, 3), np.uint8)
    both = [found(1, 0.9), found(2, 0.8)]
    assert crowds.score_crowds([((image, labels, who), both)]) == crowds.CrowdScores(1, 1, 2)
    doubled = [found(1, 0.9), found(1, 0.85), found(2, 0.8)]
    assert crowds.score_crowds([((image, labels, who), doubled)]).ap == pytest.approx((1 + 2 / 3) / 2)
    assert crowds.score_crowds([((image, labels, who), [found(2, 0.8)])]).ap == 0.5


def test_canvases_of_crowds_show_everybody(recipe: Any) -> None:
    import crowds

    for image, labels, who in crowds.mosaics(figures(sys.modules["photos"]), [grounds()[0]]):
        assert image.shape[:2] == labels.shape == who.shape
        shown = np.bincount(who.ravel())[1:]
        assert ((shown == 0) | (shown >= crowds.SMALLEST)).all() and (labels[who > 0] > 0).all()
    rng = np.random.default_rng(0)
    for _ in range(4):
        image, labels, who = crowds.crowd(rng, figures(sys.modules["photos"]), grounds())
        assert image.shape[:2] == labels.shape == who.shape
        shown = np.bincount(who.ravel())[1:]
        assert 2 <= len(shown) <= 5 and (shown > 100).all()
        assert ((who > 0) == (labels > 0)).all()


def test_mosaics_show_several_people_each_in_a_tile_that_their_photo_fills(recipe: Any) -> None:
    augment, photos = sys.modules["augment"], figures(sys.modules["photos"])
    several = 0
    for seed in range(12):
        rng, size = np.random.default_rng(seed), (300, 200)
        tiles = augment.tiles(np.random.default_rng(seed), size)
        assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in tiles) == 300 * 200
        assert min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in tiles) >= 64
        image, labels, who = augment.mosaic(rng, photos[0], photos, [grounds()[0] // 2 + 9], size, 0.3)
        assert (image > 0).all(), "a photo does not reach its tile's edge"
        assert ((who > 0) == (labels > 0)).all() and who.any()
        for person in np.unique(who[who > 0]):
            y, x = np.nonzero(who == person)
            (tile,) = [t for t in tiles if t[0] <= x[0] < t[2] and t[1] <= y[0] < t[3]]
            assert tile[0] <= x.min() and x.max() < tile[2] and tile[1] <= y.min() and y.max() < tile[3]
        several += len(np.unique(who)) > 2
    assert several > 3


def test_labels_come_back_at_exact_pixel_centres(recipe: Any) -> None:
    score = sys.modules["score"]
    image = np.zeros((230, 151, 3), np.uint8)
    tensor, inner = score.fit(image)
    assert inner == (487, 320) and tensor.shape == (1, 3, 512, 320)
    logits = torch.zeros(1, 18, 256, 160)
    logits[:, 4, 104:] = 1  # from network row 208 on: photo row 98.23
    labels = score.back(logits, inner, 2, (230, 151))
    assert labels.shape == (230, 151)
    assert (labels[:97] == 0).all() and (labels[99:] == 4).all()


def test_written_weights_load_strictly_into_the_network(recipe: Any, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    card, score, photos = (sys.modules[name] for name in ("card", "score", "photos"))
    run = trainer(recipe, tmp_path / "work", epochs=1)
    list(run.run())
    scores = score.evaluate(run.average, figures(photos, 2), crops=True)
    card.publish(tmp_path, run.average, scores, recipe.facts(run))
    state = {name: value.float() for name, value in load_file(tmp_path / "lite-atr.safetensors").items()}
    small_net().load_state_dict(state, strict=True)
    with safe_open(tmp_path / "lite-atr.safetensors", "pt") as file:
        assert file.metadata()["humanparse_model"] == "lite-atr"
    text = (tmp_path / "lite-atr.md").read_text()
    assert "| face |" in text and "Provisional" not in text
