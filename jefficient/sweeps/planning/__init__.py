"""What is decided before anything runs: a sweep as it was called enters; settings, groups, widths and a plan leave."""

from ._assemble import assemble as assemble
from ._plan import Plan as Plan
from ._plan import checked as checked
from ._plan import plan_of as plan_of
from ._plan import static_key as static_key
from ._prepared import Prepared as Prepared
from ._prepared import prepare as prepare
from ._settings import Running as Running
from ._settings import Settings as Settings
from ._timing import forecast as forecast
