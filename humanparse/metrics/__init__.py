"""Arrays -> scores, as the originals compute them; and the data sets to compute them on."""

from __future__ import annotations

from .instance import PartScores, PersonScores, instance_scores
from .semantic import ConfusionMatrix, semantic_scores

__all__ = ["ConfusionMatrix", "PartScores", "PersonScores", "instance_scores", "semantic_scores"]
