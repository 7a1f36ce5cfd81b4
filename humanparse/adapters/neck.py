"""ATR's labels with a neck, for OOTDiffusion and IDM-VTON.

Both projects run SCHP twice, with ATR's and with LIP's labels. ATR counts the neck as part of the face, LIP
does not: the neck is where ATR says face and LIP says something else. They store it as label 18. The code is
in `preprocess/humanparsing/parsing_api.py` of OOTDiffusion (Xu et al., arXiv:2403.01779) and of IDM-VTON
(Choi et al., arXiv:2403.05139).

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
    """Two parsings of one photo -> ATR's labels plus label 18, the neck.

    Args:
        atr: in ATR's labels, for example from `schp-atr`, `segformer-b2-clothes` or the bundled model.
        lip: the same photo in LIP's or CIHP's labels, for example from `schp-lip` or `ce2p-lip`.

    Returns:
        A parsing in the scheme `atr-neck`, with the people of `atr`. Confidence, logits and part scores are
        left out, because they belong to other labels.

    Raises:
        SchemeError: a parsing has other labels, or the two have different sizes.

    Examples:
        >>> import numpy as np
        >>> from humanparse import Parsing, get_scheme
        >>> from humanparse.adapters.neck import with_neck
        >>> atr = Parsing(np.array([[11, 11]], np.uint8), get_scheme("atr"))  # face, face
        >>> lip = Parsing(np.array([[13, 0]], np.uint8), get_scheme("lip"))  # face, background
        >>> with_neck(atr, lip).labels.tolist()
        [[11, 18]]
    """
    for parsing, keys in ((atr, ("atr",)), (lip, ("lip", "cihp"))):
        if parsing.scheme.key not in keys:
            raise SchemeError(
                f"with_neck takes a parsing in atr's labels, then one in lip's or cihp's; "
                f"{parsing.scheme.key}'s labels were passed instead of {' or '.join(keys)}'s"
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
