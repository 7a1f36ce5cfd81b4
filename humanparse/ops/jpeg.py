"""What is left of a picture after it was a JPEG file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def jpeg_round_trip(image: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) through OpenCV's JPEG encoder and back; quality 0-100."""
    import cv2

    _, stream = cv2.imencode(
        ".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded: npt.NDArray[np.uint8] = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
