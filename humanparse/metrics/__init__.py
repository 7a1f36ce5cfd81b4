"""Scores of label maps and people, computed as the originals do; and readers of their data sets."""

from __future__ import annotations

from .instance import PartScores, PersonScores, instance_scores
from .semantic import ConfusionMatrix, semantic_scores

__all__ = ["ConfusionMatrix", "PartScores", "PersonScores", "instance_scores", "semantic_scores"]
