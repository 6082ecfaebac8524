"""Decisions before anything runs: the arguments of a sweep enter; its groups and plan leave."""

from ._assemble import assemble as assemble
from ._assemble import order_key as order_key
from ._plan import Plan as Plan
from ._plan import ProgramPlan as ProgramPlan
from ._plan import checked_plan as checked_plan
from ._plan import group_key as group_key
from ._plan import plan_of as plan_of
from ._prepare import prepare as prepare
from ._settings import RunOptions as RunOptions
from ._settings import Settings as Settings
from ._spec import SweepSpec as SweepSpec
from ._starting import Starts as Starts
from ._timing import timed_plan as timed_plan
from ._widths import even_width as even_width
from ._widths import group_width as group_width
