"""Labels on a Ray cluster: `Cluster` for runs of `label`, `label_dataset` for Ray Data.

`Cluster` uses Ray's actors, not Ray Data. A run takes inputs from its journal, records them batch by batch,
and stops after the batches in progress. It must also end if an input kills every worker that opens it; Ray
Data repeats such an input forever.
"""

from .cluster import Cluster as Cluster
from .dataset import label_dataset as label_dataset
