"""Labels whole data sets: `label` for pictures, `label_subjects` for IntegratedPIFu.

`contact_sheet` shows the doubtful outputs of a run. Importing this module does not import torch.
"""

from .contact_sheet import contact_sheet as contact_sheet
from .destination import status as status
from .integratedpifu import label_subjects as label_subjects
from .job import Progress as Progress
from .job import RunOptions as RunOptions
from .job import Summary as Summary
from .job import label as label
from .journal import Counts as Counts
from .processes import Processes as Processes
from .settings import Settings as Settings
