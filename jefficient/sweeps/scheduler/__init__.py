"""The host loop: queues of trials and programs enter; a record of every evaluation leaves."""

from ._compiler import Built as Built
from ._compiler import Compiler as Compiler
from ._compiler import block_bytes as block_bytes
from ._continuous import Engine as Engine
from ._lockstep import Lockstep as Lockstep
from ._progress import Progress as Progress
from ._progress import reporter as reporter
from ._queue import Queue as Queue
from ._record import Record as Record
from ._scheduler import MEMORY_ERRORS as MEMORY_ERRORS
from ._scheduler import Host as Host
from ._scheduler import is_out_of_memory as is_out_of_memory
