"""Real data from installed packages and frozen files, and data made up without end: nothing is downloaded."""

from lrpilot.envs.data.datasets import list_datasets as list_datasets
from lrpilot.envs.data.datasets import load_dataset as load_dataset
from lrpilot.envs.data.labelled import list_labelled as list_labelled
from lrpilot.envs.data.labelled import load_labelled as load_labelled
from lrpilot.envs.data.matrices import DataError as DataError
from lrpilot.envs.data.matrices import list_matrices as list_matrices
from lrpilot.envs.data.matrices import load_matrix as load_matrix
