"""Examples on a disk: sources enter; batches, read ahead of the lanes, leave."""

from ._prefetch import EpochOrder as EpochOrder
from ._prefetch import Prefetch as Prefetch
from ._readers import fits as fits
from ._readers import native as native
from ._source import Source as Source
from ._source import is_source as is_source
from ._split import Concatenated as Concatenated
from ._split import Split as Split
from ._stream import EvaluationBatch as EvaluationBatch
from ._stream import PrefetchChunk as PrefetchChunk
from ._stream import Stream as Stream
from ._stream import evaluation_batch_size as evaluation_batch_size
