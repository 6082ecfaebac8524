"""Examples on a disk: sources enter; batches, read ahead, leave."""

from ._readers import fits as fits
from ._readers import native as native
from ._source import Concatenated as Concatenated
from ._source import Source as Source
from ._source import Split as Split
from ._source import is_source as is_source
from ._stream import EpochOrder as EpochOrder
from ._stream import EvaluationBatch as EvaluationBatch
from ._stream import Prefetch as Prefetch
from ._stream import PrefetchChunk as PrefetchChunk
from ._stream import Stream as Stream
from ._stream import piece_of as piece_of
from ._stream import read_piece as read_piece
