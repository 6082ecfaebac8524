"""Examples on a disk: sources enter; batches, read ahead, leave."""

from ._readers import fits as fits
from ._readers import native as native
from ._source import Chain as Chain
from ._source import Part as Part
from ._source import Source as Source
from ._source import is_source as is_source
from ._stream import Ahead as Ahead
from ._stream import Chunk as Chunk
from ._stream import Order as Order
from ._stream import Piece as Piece
from ._stream import Stream as Stream
from ._stream import piece_of as piece_of
from ._stream import read_piece as read_piece
