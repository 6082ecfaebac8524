"""The host loop: queues of trials and programs enter; a record of every evaluation leaves."""

from ._compiler import Compiler as Compiler
from ._compiler import block_bytes as block_bytes
from ._continuous import ContinuousScheduler as ContinuousScheduler
from ._lockstep import LockstepScheduler as LockstepScheduler
from ._memory import MEMORY_ERRORS as MEMORY_ERRORS
from ._memory import is_out_of_memory as is_out_of_memory
from ._progress import Progress as Progress
from ._progress import reporter as reporter
from ._queue import Queue as Queue
from ._record import Record as Record
from ._record import timetable as timetable
from ._scheduler import Scheduler as Scheduler
