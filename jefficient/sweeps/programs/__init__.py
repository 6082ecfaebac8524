"""The device side: groups of configurations enter; programs that train lanes leave."""

from ._groups import Lengths as Lengths
from ._groups import Program as Program
from ._groups import programs as programs
from ._lanes import Lane as Lane
from ._lanes import LaneProgram as LaneProgram
from ._lanes import Look as Look
from ._lanes import Orders as Orders
from ._lanes import Segment as Segment
from ._lanes import Shared as Shared
from ._lanes import zeros as zeros
from ._streamed_lanes import Calls as Calls
from ._streamed_lanes import StreamProgram as StreamProgram
