"""Decodes UniParser's maps into people (Chu et al., arXiv:2310.08984), as the released code does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ._centres import Canvas, People, Size, centres, float32

Map = Tensor | npt.NDArray[np.generic]

_TRACE = 0.1  # least similarity of a pixel that counts towards the size of a part


def decode_uniparser(
    heat: Map,
    instance: Map,
    semantic: Map,
    class_vectors: Map,
    img_shape: Size,
    ori_shape: Size,
    *,
    ctr_score: float = 0.1,
    cate_score_thr: float = 0.3,
    mask_thr: float = 0.5,
    max_people: int | None = None,
) -> People:
    """Find people and their parts in the maps of `UniParser` for one photo.

    Args:
        heat: (S, S), probability of a person's centre.
        instance: (E, h, w), embedding of people.
        semantic: (E, h, w), embedding of parts.
        class_vectors: (C, E), one embedding per part.
        img_shape: (height, width) of the resized photo, without padding.
        ori_shape: (height, width) of the photo.
        ctr_score: a centre's heat is above this. This and the following are named as in the released code.
        cate_score_thr: a part's mean similarity within its person is above this.
        mask_thr: least cosine similarity of a person's pixels to its centre, and of a part's to its class.
        max_people: keep at most this many people, those with the highest heat; None keeps all, as in
            the original.

    Returns:
        People by ascending score, as in the original. `merged` has the best part of each pixel, of any
        person; it is all 0 if nobody is found. A part's score is its mean similarity.
    """
    heat, instance, semantic, vectors = float32(heat, instance, semantic, class_vectors)
    rows, columns, warmth = centres(heat, ctr_score)
    order = warmth.argsort(stable=True)
    order = order if max_people is None else order[max(0, len(order) - max_people) :]
    parts = _similarity(semantic, vectors)  # (C, h, w)
    # The embedding is read at the top left corner of the centre's cell; float32 rounding decides the pixel.
    at_row = (rows[order] / heat.shape[0] * instance.shape[1]).long()
    at_column = (columns[order] / heat.shape[0] * instance.shape[2]).long()
    bodies = _similarity(instance, instance[:, at_row, at_column].T) > mask_thr  # (N, h, w)
    canvas = Canvas(img_shape, ori_shape, align_corners=False)
    merged = torch.zeros(ori_shape, dtype=torch.uint8, device=heat.device)
    if len(order):
        merged = _paint(parts, torch.arange(len(parts), device=heat.device), canvas, mask_thr)
    labels, found, quality = [], [], []
    for body in bodies:
        mean = _mean_similarity(parts * body, mask_thr)
        kept = torch.nonzero(mean > cate_score_thr)[:, 0]
        labels.append(_paint(parts[kept] * body, kept, canvas, mask_thr).cpu().numpy())
        found.append(kept.cpu().numpy())
        quality.append(mean[kept].cpu().numpy())
    return People(
        labels=np.stack(labels) if labels else np.zeros((0, *ori_shape), np.uint8),
        scores=warmth[order].cpu().numpy(),
        merged=merged.cpu().numpy(),
        part_person=np.repeat(np.arange(len(found)), [len(each) for each in found]),
        part_label=np.concatenate([np.zeros(0, np.int64), *found]).astype(np.uint8) + np.uint8(1),
        part_score=np.concatenate([np.zeros(0, np.float32), *quality]),
    )


def _similarity(embedding: Tensor, vectors: Tensor) -> Tensor:
    """Cosine similarity of every pixel of (E, h, w) to every vector of (K, E): (K, h, w)."""
    pixels, directions = F.normalize(embedding, dim=0), F.normalize(vectors, dim=1)
    return (directions @ pixels.flatten(1)).view(len(vectors), *embedding.shape[1:])


def _mean_similarity(parts: Tensor, threshold: float) -> Tensor:
    """For each part of (C, h, w): the sum of values above the threshold / the number above `_TRACE`."""
    total = (parts * (parts > threshold)).sum(dim=(1, 2))
    mean: Tensor = total / ((parts > _TRACE).sum(dim=(1, 2)) + 1e-5)
    return mean


def _paint(similarity: Tensor, numbers: Tensor, canvas: Canvas, threshold: float) -> Tensor:
    """The best part of each pixel if it is above the threshold, else 0: uint8 `canvas.size`.

    If the photo is larger than in the network's input, the labels are enlarged, not the maps.
    """
    size = canvas.size if canvas.shrinks else canvas.content_size
    best = torch.full(size, threshold, dtype=similarity.dtype, device=similarity.device)
    labels = torch.zeros(size, dtype=torch.uint8, device=similarity.device)
    for part, number in zip(similarity, numbers + 1, strict=True):  # one by one, as in SMP's decoder
        here = canvas.enlarge(part[None], shrink_only=True)[0]
        labels = torch.where(here > best, number.to(torch.uint8), labels)
        best = torch.maximum(here, best)
    if size == canvas.size:
        return labels
    return F.interpolate(labels[None, None], size=canvas.size, mode="nearest")[0, 0]
