"""Examples: tables, arrays and sources enter; arrays, or batches read ahead of the lanes, leave."""

from ._examples import example_of as example_of
from ._examples import examples_of as examples_of
from ._examples import fixed_points as fixed_points
from ._prefetch import EpochOrder as EpochOrder
from ._prefetch import Prefetch as Prefetch
from ._source import Source as Source
from ._split import Concatenated as Concatenated
from ._split import Split as Split
from ._stream import EvaluationBatch as EvaluationBatch
from ._stream import PrefetchChunk as PrefetchChunk
from ._stream import Stream as Stream
from ._stream import evaluation_batch_size as evaluation_batch_size
