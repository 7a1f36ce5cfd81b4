"""Finds which of several labels a connected blob touches most."""

from __future__ import annotations

import numpy as np

from ..arrays import Labels, Mask


def touching_label(blobs: Mask, labels: Labels, candidates: tuple[int, ...], default: int) -> Labels:
    """Label each 8-connected blob with the candidate that most of its neighbouring pixels carry.

    The first candidate wins a tie; blobs that touch none get `default`. Elsewhere the result is 0.
    """
    import cv2

    count, blob_ids = cv2.connectedComponents(blobs.astype(np.uint8), connectivity=8)
    grid = np.pad(blob_ids, 1)
    votes = np.zeros((count, len(candidates)), dtype=np.int64)
    for row in (0, 1, 2):
        for column in (0, 1, 2):
            neighbours = grid[row : row + labels.shape[0], column : column + labels.shape[1]]
            for number, candidate in enumerate(candidates):
                seen = neighbours[(labels == candidate) & (neighbours > 0)]
                votes[:, number] += np.bincount(seen, minlength=count)
    chosen = np.array(candidates, dtype=np.uint8)[votes.argmax(axis=1)]
    chosen[votes.max(axis=1) == 0] = default
    chosen[0] = 0
    labelled: Labels = chosen[blob_ids]
    return labelled
