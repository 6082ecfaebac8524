"""The trial of a `Task`: batches, the optimizer's step, and means over the validation set."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Examples, Params
from ...training import TrainState, TrainStep, layer_norms, measured_step, recorded_metrics
from ..data import EvaluationBatch
from ._evaluation import EvaluationSet, RunningSums, Sums, batch_sums, means_of
from ._injection import Injection
from ._keys import AUGMENT, INIT, NOISE, folded
from ._lane_data import LaneData, ResidentData
from ._notes import WHERE
from ._probe import Probe
from ._scoring import device_scores, predicts_of
from ._task import Task
from ._trial import Trial


@dataclasses.dataclass(frozen=True, eq=False)
class TaskTrial:
    """The functions of a trial for some static hyperparameters, `batch_size` among them."""

    task: Task
    injection: Injection
    static: Mapping[str, Any]
    layers: tuple[str, ...]
    eval_batch_size: int | None
    probe: Probe

    def trial(self, data: LaneData) -> Trial:
        return Trial(self.init, self.step, self.evaluate, data, self.weights)

    def init(self, key: jax.Array, /, **traced: ArrayLike) -> TrainState:
        init, hyperparameters = self.injection.init, {**self.static, **traced}
        init_key, noise_key = folded(key, INIT, NOISE)
        made = init.function(init_key, **init.choose(hyperparameters))
        is_pair = isinstance(made, tuple | list) and len(made) == 2
        if self.task.model_state and not is_pair:
            raise ArgumentTypeError(
                f"{WHERE}: with model_state, init must return a pair (params, model_state), "
                f"got {type(made).__name__}."
            )
        return self._begun(noise_key, made, **traced)

    def restart(self, key: jax.Array, weights: Params, /, **traced: ArrayLike) -> TrainState:
        """Begin with these weights: parameters, or a pair of them and the model's state."""
        return self._begun(jax.random.fold_in(key, NOISE), weights, **traced)

    def _begun(self, noise_key: jax.Array, weights: Params, /, **traced: ArrayLike) -> TrainState:
        params, model_state = weights if self.task.model_state else (weights, None)
        train = self._train_step({**self.static, **traced})
        state = train.init(params, key=noise_key, model_state=model_state)
        if not self.task.is_prequential:
            return state
        return state._replace(
            tested={name: RunningSums.zeros() for name in ("loss", *self.task.metrics)}
        )

    def resume(self, key: jax.Array, state: TrainState) -> TrainState:
        """Go on from a state that was kept, with noise of this trial's own."""
        return state._replace(key=jax.random.fold_in(key, NOISE))

    def step(
        self,
        state: TrainState,
        data: LaneData,
        t: jax.Array,
        key: jax.Array,
        /,
        **traced: jax.Array,
    ) -> tuple[TrainState, dict[str, jax.Array | Sums]]:
        train = self._train_step({**self.static, **traced})
        batch = data.training_batch(self.task, t, key, traced["fold"], self.static)
        tested: dict[str, Sums] = {}
        if self.task.is_prequential:
            tested = self._tested(state, batch, t, {**self.static, **traced})
            so_far = {name: state.tested[name].plus(x) for name, x in tested.items()}
            state = state._replace(tested=so_far)
        augment = self.injection.augment
        if augment is not None:
            own_key = jax.random.fold_in(jax.random.fold_in(key, AUGMENT), t)
            batch = augment.function(own_key, batch, **augment.choose({**self.static, **traced}))
        state, metrics = train.update(state, batch)

        measured = {name: x for name, x in metrics.items() if name != "layers"}
        measured |= {f"window_{name}": x for name, x in tested.items()}
        for name, norms in metrics.get("layers", {}).items():
            measured[name] = self._of_layers(norms)
        return state, measured

    def _tested(
        self, state: TrainState, batch: Examples, t: jax.Array, hyperparameters: dict[str, Any]
    ) -> dict[str, Sums]:
        """Test a batch before it is trained on: sums over its examples, by name.

        The last batch of a stream may go on with examples from its beginning, which are no test.
        """
        size = self.task.size
        batch_size = self.static["batch_size"]
        is_whole = size % batch_size == 0
        count = None if is_whole else jnp.minimum(size - t * batch_size, batch_size)
        given = {**hyperparameters, "step": state.step}
        means = means_of(self.task, self.injection, "", self.weights(state), given)
        sums = batch_sums(means, EvaluationBatch(batch, count))
        return {name.removeprefix("_"): x for name, x in sums.items()}

    def evaluate(
        self, state: TrainState, data: LaneData, /, **traced: jax.Array
    ) -> dict[str, jax.Array]:
        weights = self.weights(state)
        params = weights[0] if self.task.model_state else weights
        values = {"zeros": trees.zero_share(params)}
        if self.layers:
            values["weight_norm"] = self._of_layers(layer_norms(params))

        if self.task.is_prequential:
            return values | {f"valid_{name}": x.mean for name, x in state.tested.items()}

        hyperparameters = {**self.static, **traced, "step": state.step}
        if self.probe.names:
            assert isinstance(data, ResidentData)
            loss = self._loss({**self.static, **traced})
            values |= self.probe.measure(self.task, loss, state, data, self.static, traced["fold"])

        def measure(examples: EvaluationSet) -> dict[str, jax.Array]:
            means = means_of(self.task, self.injection, "valid", weights, hyperparameters)
            predicts = predicts_of(self.task, self.injection, weights, hyperparameters)
            metrics = {name: x for name, x in self.task.scored.items() if not x.on_host}
            scores = device_scores(metrics, predicts, examples, self.eval_batch_size)
            return {
                **examples.means(means, self.eval_batch_size),
                **{f"valid_{name}": x for name, x in scores.items()},
            }

        return values | data.measured(measure, self.task, traced["fold"])

    def weights(self, state: TrainState) -> Params:
        params = self.task.evaluation_params(state.opt_state, state.params)
        if trees.kind_of(params) != trees.kind_of(state.params):
            raise ArgumentError(
                f"{WHERE}: evaluation_params must return parameters like those that are trained, "
                f"got {trees.shown(params)} for {trees.shown(state.params)}."
            )
        return (params, state.model_state) if self.task.model_state else params

    def _loss(self, hyperparameters: dict[str, Any]) -> Callable[..., Any]:
        loss = self.injection.loss
        return functools.partial(loss.function, **loss.choose(hyperparameters))

    def _train_step(self, hyperparameters: dict[str, Any]) -> TrainStep:
        return measured_step(  # norms that nobody asked for would be traced and lowered, too
            self._loss(hyperparameters),
            self.injection.build_optimizer(hyperparameters),
            functools.partial(recorded_metrics, layers=bool(self.layers)),
            model_state=self.task.model_state,
        )

    def _of_layers(self, norms: Mapping[str, jax.Array]) -> jax.Array:
        """Return norms in the order of `layers`; NaN for one that this group does not have."""
        absent = jnp.asarray(jnp.nan)
        return jnp.stack([norms.get(name, absent).astype(jnp.float32) for name in self.layers])
