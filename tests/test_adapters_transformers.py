"""humanparse behind transformers' calls, compared with what transformers itself gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    pipeline,
)

from humanparse import ImageError, ModelError, Parser, get_scheme, image
from humanparse.adapters.transformers import (
    ImageProcessor,
    SegmentationOutput,
    SegmentationPipeline,
    id2label,
    label2id,
    to_segments,
)

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
OTHER = Path(__file__).parents[1] / "examples" / "astronaut.png"
ATR = get_scheme("atr")


@pytest.fixture(scope="module")
def theirs() -> tuple[SegformerForSemanticSegmentation, SegformerImageProcessor]:
    """A SegFormer of random weights with ATR's labels."""
    torch.manual_seed(0)
    small = SegformerConfig(
        num_labels=len(ATR), id2label=id2label(ATR), label2id=label2id(ATR), hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8,
    )  # fmt: skip
    network = SegformerForSemanticSegmentation(small).eval()
    return network, SegformerImageProcessor(size={"height": 64, "width": 64})


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser()


def kinds(segments: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """What of an answer does not depend on the network: keys, types, and what masks are."""
    found = []
    for segment in segments:
        mask = segment["mask"]
        assert isinstance(mask, Image.Image)
        values = set(np.unique(np.asarray(mask)).tolist()) <= {0, 255}
        types = {key: type(value) for key, value in segment.items()}
        found.append((list(segment), types, mask.mode, mask.size, values))
    return found


def test_the_answer_has_the_form_of_transformers_own_pipeline(theirs: tuple, parser: Parser) -> None:
    network, processor = theirs
    pipe = pipeline("image-segmentation", model=network, image_processor=processor, device="cpu")
    ours = SegmentationPipeline(parser)
    with Image.open(PHOTO) as photo:
        photo.load()
    for inputs in (photo, str(PHOTO)):
        reference, answer = pipe(inputs), ours(inputs)
        assert kinds(answer)[:1] == kinds(reference)[:1] and len(set(map(str, kinds(answer)))) == 1
        assert [segment["label"] for segment in answer] == [
            part.name for part in parser.predict(inputs).parts(background=True)
        ]
    reference, answer = pipe([photo, str(OTHER)]), ours([photo, str(OTHER)])
    assert [type(one) for one in answer] == [type(one) for one in reference] == [list, list]
    assert answer[1][0]["mask"].size == reference[1][0]["mask"].size == (512, 512)
    assert ours.task == pipe.task


def test_masks_are_the_labels_and_scores_the_mean_confidence(parser: Parser) -> None:
    parsing = parser.predict(PHOTO, confidence=True)
    assert parsing.confidence is not None
    for segment in SegmentationPipeline(parser, confidence=True, background=False)(PHOTO):
        where = parsing.mask(segment["label"])
        assert np.array_equal(np.asarray(segment["mask"]) == 255, where)
        assert segment["score"] == pytest.approx(parsing.confidence[where].astype(float).mean())
    assert to_segments(parsing)[0]["label"] == "Background"


def test_iterators_are_answered_one_by_one_and_other_tasks_refused(parser: Parser) -> None:
    ours = SegmentationPipeline(parser)
    answers = ours((path for path in (PHOTO, OTHER)), batch_size=1)
    assert not isinstance(answers, list) and next(answers)[0]["label"] == "Background"
    assert len(ours(images=PHOTO)) == len(ours(PHOTO, subtask="semantic"))
    with pytest.raises(ModelError, match="semantic"):
        ours(PHOTO, subtask="panoptic")
    with pytest.raises(ImageError):
        ours("no.jpg")


def test_the_processors_two_halves_give_the_parsers_labels(parser: Parser) -> None:
    processor = ImageProcessor(parser)
    photos = [image.load(PHOTO), image.load(PHOTO)[::-1, ::-1]]
    sizes = [photo.shape[:2] for photo in photos]
    inputs = processor(images=photos, return_tensors="pt")
    outputs = processor.model(**inputs)
    expected = list(parser.predict_many(photos, batch_size=2))
    for target_sizes in (sizes, torch.tensor(sizes)):
        maps = processor.post_process_semantic_segmentation(outputs, target_sizes=target_sizes)
        for found, parsing in zip(maps, expected, strict=True):
            assert found.dtype == torch.int64
            assert np.array_equal(found.numpy(), parsing.labels)
    assert processor.id2label[11] == "Face" and processor.label2id["Face"] == 11


def test_maps_have_the_form_of_transformers_own(theirs: tuple) -> None:
    network, processor = theirs
    pixels = processor(images=Image.new("RGB", (50, 40)), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        outputs = network(pixels)
    ours = ImageProcessor(Parser())
    for sizes in ([(40, 50)], None):
        (reference,) = processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)
        for given in (outputs, {"logits": outputs.logits}, SegmentationOutput(outputs.logits)):
            (found,) = ours.post_process_semantic_segmentation(given, target_sizes=sizes)
            assert (found.shape, found.dtype) == (reference.shape, reference.dtype)
    assert torch.equal(found, reference)


def test_what_has_no_grid_of_logits_or_does_not_fit_is_refused(parser: Parser) -> None:
    with pytest.raises(ModelError, match="no single grid"):
        ImageProcessor(Parser(scales=(0.75, 1.0)))
    processor = ImageProcessor(parser)
    logits = SegmentationOutput(torch.zeros(2, 18, 4, 4))
    with pytest.raises(ModelError, match="1 target_sizes for 2 photos"):
        processor.post_process_semantic_segmentation(logits, [(4, 4)])
    with pytest.raises(ModelError, match="320x384, 320x320"):
        processor([PHOTO, OTHER])
    with pytest.raises(ModelError, match="none"):
        processor([])
    with pytest.raises(ModelError, match="pt"):
        processor(PHOTO, return_tensors="np")
