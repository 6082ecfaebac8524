"""The directory of a sweep: a scheduler and its record enter; snapshots leave, and come back."""

from ._checkpointer import Checkpointer as Checkpointer
from ._directory import EmptyError as EmptyError
from ._directory import peek as peek
from ._labels import attributes as attributes
from ._labels import dataset_of as dataset_of
from ._labels import labels_from as labels_from
from ._labels import programs_of as programs_of
from ._snapshot import Snapshot as Snapshot
