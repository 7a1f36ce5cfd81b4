"""Record the CE2P family's answers on a public-domain photo, for clones without the full recordings.

    python tests/data/record.py FULL

Runs this project's own networks, so it is to be run only while tests/test_ce2p_parity.py passes with the full
recordings in FULL, whose classifier biases, shapes and statistics it takes over.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parents[1]))

import test_ce2p_parity as parity  # noqa: E402
from golden import recording  # noqa: E402

from humanparse import Parser, image  # noqa: E402

SMALL, PHOTO = HERE / "golden", "hopper_97x61"
RECORDED = {  # recording: name of its shapes and statistics
    "ssseg-ce2p/r50-os8-lip": "ssseg-ce2p-r50",
    "ssseg-upernet/r50-os16-voc": "ssseg-upernet-r50",
    parity.V2: "ce2p-v2",
    parity.V1: "mce2p",
}


def answers(recorded: str, checkpoint: Path) -> dict[str, Any]:
    """The arrays of one recording, as its full version names them."""
    parity.publish(recorded, checkpoint)
    name = parity.model_of(recorded)
    parser = Parser(name, weights=checkpoint, device="cpu")
    photo = image.load(SMALL / "images" / f"{PHOTO}.png")
    frame = parity.frame_of(parser, photo)
    fitted = frame.fit(photo)
    with torch.inference_mode():
        plain, mirrored = parser.pipeline.network(torch.stack((fitted, fitted.flip(2))))
    made = {
        "input": fitted[:, ::8, ::8].numpy(),
        "input_shape": np.array(fitted.shape),
        "logits": plain[:, ::4, ::4].numpy(),
        "logits_shape": np.array(plain.shape),
        "labels": parser.predict(photo).labels,
    }
    if recorded == parity.V1:
        kept = parser.predict(photo, keep_logits=True).logits
        made["logits_flip"] = mirrored[:, ::4, ::4].numpy()
        made["fused"] = parity.full_size(frame, torch.from_numpy(kept))[:, ::8, ::8].numpy()
    if recorded == parity.V2:
        full = F.interpolate(plain[None], frame.input_size, mode="bilinear", align_corners=True)[0]
        made["labels_network"] = full.argmax(0).to(torch.uint8).numpy()
        made["labels_float_centre"] = made["labels"]
        made["labels"] = Parser(name, weights=checkpoint, device="cpu", protocol="score").predict(photo).labels
    return made


def main(full: Path) -> None:
    """Write the small recordings, with the shapes and statistics they need."""
    checkpoint = HERE / "checkpoint.part"
    for recorded, network in RECORDED.items():
        state = {k: v for k, v in recording(full, recorded).items() if k.startswith("state/")}
        arrays = {f"{PHOTO}/{key}": value for key, value in answers(recorded, checkpoint).items()}
        path = SMALL / f"{recorded}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **state, **arrays)
        for kind in (f"specs/{network}.json", f"stats/{network}.npz"):
            shutil.copyfile(full / kind, SMALL / kind)
    checkpoint.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
