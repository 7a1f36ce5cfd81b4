"""ATR's labels with a neck, as OOTDiffusion and IDM-VTON take them.

Both projects run SCHP twice, with ATR's and with LIP's labels. ATR counts the neck as part of the face, LIP
does not: the neck is where ATR says face and LIP says something else. They write it as label 18. In
OOTDiffusion (Xu et al., arXiv:2403.01779) that is `preprocess/humanparsing/parsing_api.py`, which IDM-VTON
(Choi et al., arXiv:2403.05139) has, too.

    atr = Parser("schp-atr").predict(photo)
    lip = Parser("schp-lip").predict(photo)
    with_neck(atr, lip).mask("neck")
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import SchemeError
from ..results import Parsing
from ..schemes import get_scheme


def with_neck(atr: Parsing, lip: Parsing) -> Parsing:
    """Two parsings of one photo -> ATR's labels and 18, the neck.

    Args:
        atr: in ATR's labels, such as from `schp-atr`, `segformer-b2-clothes` or the bundled model.
        lip: of the same photo in LIP's or CIHP's labels, such as from `schp-lip` or `ce2p-lip`.

    Returns:
        A parsing in the scheme `atr-neck`, with the people of `atr`. Confidence, logits and part scores are
        those of other labels and do not carry over.

    Raises:
        SchemeError: a parsing has other labels, or the two have different sizes.
    """
    for parsing, keys in ((atr, ("atr",)), (lip, ("lip", "cihp"))):
        if parsing.scheme.key not in keys:
            raise SchemeError(
                f"with_neck takes a parsing in atr's labels, then one in lip's or cihp's; here is one in "
                f"{parsing.scheme.key}'s where {' or '.join(keys)} belongs"
            )
    if atr.size != lip.size:
        raise SchemeError(
            f"the parsings are {atr.size} and {lip.size} (height, width); pass two of the same photo"
        )
    scheme, face = get_scheme("atr-neck"), atr.scheme.index("Face")
    neck = ~lip.mask("Face")
    labels = np.where(neck & (atr.labels == face), scheme.index("Neck"), atr.labels).astype(np.uint8)
    people = []
    for person in atr.people:
        x0, y0, x1, y1 = person.box
        theirs = neck[y0:y1, x0:x1] & (person.labels == face)
        own = np.where(theirs, scheme.index("Neck"), person.labels).astype(np.uint8)
        people.append(replace(person, labels=own, scheme=scheme, part_scores={}))
    return Parsing(labels, scheme, atr.model, people=tuple(people))
