"""Pictures: a dataset enters; what is to be drawn leaves as plain arrays, with how to draw it and how to say it."""

from ._curves import CurvesPicture as CurvesPicture
from ._heatmap import HeatmapPicture as HeatmapPicture
from ._layers import LayersPicture as LayersPicture
from ._progress import ProgressPicture as ProgressPicture
from ._reading import one_of as one_of
from ._sparsity import SparsityPicture as SparsityPicture
from ._spread import SpreadPicture as SpreadPicture
from ._style import legend as legend
from ._style import new_axes as new_axes
from ._values import ValuesPicture as ValuesPicture
