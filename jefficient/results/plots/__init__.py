"""A dataset enters; what is to be drawn leaves as plain arrays that can be drawn and described."""

from ._curves import CurvesPlot as CurvesPlot
from ._heatmap import HeatmapPlot as HeatmapPlot
from ._importance import ImportancePlot as ImportancePlot
from ._knots import KnotsPlot as KnotsPlot
from ._layers import LayersPlot as LayersPlot
from ._optimum import OptimumPlot as OptimumPlot
from ._parallel import ParallelPlot as ParallelPlot
from ._progress import ProgressPlot as ProgressPlot
from ._sparsity import SparsityPlot as SparsityPlot
from ._spread import SpreadPlot as SpreadPlot
from ._stopping import StoppingPlot as StoppingPlot
from ._style import Plot as Plot
from ._style import draw as draw
from ._style import new_axes as new_axes
from ._values import ValuesPlot as ValuesPlot
