"""The device side: groups of configurations enter; programs that train lanes leave."""

from ._gradient_program import Carry as Carry
from ._gradient_program import Ending as Ending
from ._gradient_program import GradientProgram as GradientProgram
from ._gradient_program import Place as Place
from ._groups import Group as Group
from ._groups import TrialLength as TrialLength
from ._groups import groups_of as groups_of
from ._lane_program import LaneProgram as LaneProgram
from ._lane_program import Segment as Segment
from ._lanes import Checkpointed as Checkpointed
from ._lanes import Commands as Commands
from ._lanes import Evaluation as Evaluation
from ._lanes import Lane as Lane
from ._lanes import Shared as Shared
from ._lanes import Start as Start
from ._lanes import zeros as zeros
from ._streamed_lanes import StreamedCalls as StreamedCalls
from ._streamed_lanes import StreamedProgram as StreamedProgram
