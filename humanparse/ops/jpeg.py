"""Passes a picture through JPEG compression."""

from __future__ import annotations

import numpy as np

from ..arrays import Picture


def jpeg_round_trip(image: Picture, quality: int) -> Picture:
    """RGB uint8 (H, W, 3) through OpenCV's JPEG encoder and back; quality 0-100."""
    import cv2

    _, stream = cv2.imencode(
        ".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded: Picture = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
