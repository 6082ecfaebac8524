"""Testing: what users write and its numbers enter; a `LawError` is raised if it breaks a law.

There are laws of transforms, schedules and train steps. They are built on chex (extra `test`), and
jefficient's own conformance tests call the same functions.
"""

import importlib.util

from .._core.errors import MissingExtraError as _MissingExtraError

if importlib.util.find_spec("chex") is None:
    raise _MissingExtraError(
        "jefficient.testing: chex must be installed: pip install 'jefficient[test]'."
    )

from ._law import LawError as LawError
from ._schedule import SCHEDULE_LAWS as SCHEDULE_LAWS
from ._schedule import verify_schedule as verify_schedule
from ._search import SEARCH_LAWS as SEARCH_LAWS
from ._search import verify_search as verify_search
from ._stop_rule import STOP_RULE_LAWS as STOP_RULE_LAWS
from ._stop_rule import verify_stop_rule as verify_stop_rule
from ._train_step import TRAIN_STEP_LAWS as TRAIN_STEP_LAWS
from ._train_step import verify_train_step as verify_train_step
from ._transform import verify_transform as verify_transform
from ._transform_laws import TRANSFORM_LAWS as TRANSFORM_LAWS
