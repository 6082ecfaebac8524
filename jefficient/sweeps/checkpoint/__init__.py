"""The directory of a sweep: a scheduler and its record enter; snapshots leave, and come back."""

from ._labels import attributes as attributes
from ._labels import dataset_of as dataset_of
from ._labels import labels_from as labels_from
from ._labels import programs_of as programs_of
from ._resume import Checkpointer as Checkpointer
from ._snapshot import Directory as Directory
from ._snapshot import EmptyError as EmptyError
