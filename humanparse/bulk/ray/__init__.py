"""Labelling past one machine, on a Ray cluster: `Cluster` for runs of `label`, `label_dataset` for Ray Data.

`Cluster` runs on Ray's actors rather than through Ray Data, because a run is fed from its journal as it goes,
is recorded batch by batch, stops after what is under way, and must end even where an input kills every
worker that opens it; Ray Data repeats such an input for ever.
"""

from .cluster import Cluster as Cluster
from .dataset import label_dataset as label_dataset
