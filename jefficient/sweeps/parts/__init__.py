"""Parts of a sweep: an executor enters; the parts that its workers have run leave as one result."""

from ._executor import DEFAULT_PARTS as DEFAULT_PARTS
from ._executor import run_in_parts as run_in_parts
from ._folders import check_whole as check_whole
from ._folders import folders_in as folders_in
