"""Gradient transformations: gradients (and parameters) enter, updates leave.

Each is an optax pair (init, update).
"""

from optax import GradientTransformation as GradientTransformation

from ._accumulate import accumulate as accumulate
from ._adam import adam as adam
from ._adam import nadam as nadam
from ._adamw import adamw as adamw
from ._adamw import nadamw as nadamw
from ._apply_if_finite import apply_if_finite as apply_if_finite
from ._apply_updates import apply_updates as apply_updates
from ._average_weights import average_weights as average_weights
from ._chain import chain as chain
from ._chain import named_chain as named_chain
from ._clip import clip as clip
from ._clip import clip_by_global_norm as clip_by_global_norm
from ._clip import clipped as clipped
from ._decay import l1_decay as l1_decay
from ._decay import l2_decay as l2_decay
from ._evaluation_params import evaluation_params as evaluation_params
from ._extra_args import accepting as accepting
from ._flatten import flatten as flatten
from ._hypergradient_descent import hypergradient_descent as hypergradient_descent
from ._hyperparameters import hyperparameters as hyperparameters
from ._keep_zeros import keep_zeros as keep_zeros
from ._masked import masked as masked
from ._masked import partition as partition
from ._plateau import reduce_on_plateau as reduce_on_plateau
from ._proximal import proximal_adam as proximal_adam
from ._proximal import proximal_elastic_net as proximal_elastic_net
from ._proximal import proximal_l1 as proximal_l1
from ._prune import prune as prune
from ._scale import identity as identity
from ._scale import scale as scale
from ._scale import scale_by_learning_rate as scale_by_learning_rate
from ._scale import scale_by_schedule as scale_by_schedule
from ._scale_by_adam import scale_by_adam as scale_by_adam
from ._scale_by_name import scale_by_name as scale_by_name
from ._sgd import sgd as sgd
from ._sgd import trace as trace
from ._sparsity import sparsity as sparsity
from ._where_name import where_name as where_name
