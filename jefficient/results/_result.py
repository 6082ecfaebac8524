"""What a sweep returns, and how it is read."""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from .._core import html
from .._core.checks import check_place
from .._core.errors import ArgumentError, JefficientError
from .._core.logger import Logger
from .._core.typing import Params
from ._answer import answer
from ._best import Best, choose, ties
from ._compare import Comparison, compare
from ._content import Content
from ._dataset import curves_of, hyperparameters, score_of
from ._files import save
from ._grid import unstacked
from ._importance import WHERE as IMPORTANCE
from ._importance import importance
from ._join import joined
from ._ledger import Ledger
from ._log import Log, checked_loggers
from ._next_space import NextSpace, next_space
from ._optimum import Optimum, optimum
from ._plots import Plots
from ._ranked import ranked
from ._replay import Length, Replay, Trainer, hyperparameter_texts
from ._safetensors import save_safetensors
from ._score import Score
from ._sensitivity import sensitivity_table
from ._simulation import Simulation
from ._states import Checkpoints, States, TrialState, Weights
from ._study import to_study
from ._table import table
from ._values import values_of
from .checks import Checks, checks
from .report import write_report

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished sweep.

    Attributes:
        dataset: dimensions config, seed, fold and evaluation; its variables are listed in the
            guide, under "The dataset".
        space: name to the values of every configuration, as they were given, arrays as NumPy's;
            where the result was loaded without its task, functions and other objects are their
            labels.
        weights: (config, seed, fold) to the parameters that were checkpointed.
        states: (config, seed, fold) to the `TrialState` of each evaluation that was kept.
        test: the best configuration evaluated on the test set: dimensions seed and fold, variables
            ``test_loss`` and ``test_<metric>``, its `config` among the attributes; None without a
            test set or a best configuration, or where the sweep was interrupted.
        programs: what `replay` and `refit` train with, None where the task is not at hand.
    """

    dataset: xr.Dataset
    space: Mapping[str, tuple] = dataclasses.field(repr=False, default_factory=dict)
    weights: Weights = dataclasses.field(repr=False, default_factory=dict)
    states: States = dataclasses.field(repr=False, default_factory=dict)
    test: xr.Dataset | None = dataclasses.field(repr=False, default=None)
    programs: Trainer | None = dataclasses.field(repr=False, default=None)

    def __post_init__(self):
        if not self.space:
            names = hyperparameters(self.dataset)
            columns = {name: values_of(self.dataset, name) for name in names}
            object.__setattr__(self, "space", columns)
        count = self.dataset.sizes["config"]
        lengths = {name: len(values) for name, values in self.space.items()}
        if set(lengths.values()) - {count}:
            raise ArgumentError(
                f"jf.Result: space must have a value for every configuration, {count} in all, got "
                f"{lengths}."
            )

    def __repr__(self) -> str:
        names = {"configurations": "config", "seeds": "seed", "folds": "fold"}
        sizes = [f"{name}={self.dataset.sizes.get(dim, 1)}" for name, dim in names.items()]
        return f"Result({', '.join(sizes)}, metric={self.score.metric!r})"

    def __str__(self) -> str:
        """Say the best configuration, how many could be as good, the optima, and the checks."""
        return answer(self.dataset, self.space)

    def _repr_html_(self) -> str:
        try:
            best = str(self.best())
        except JefficientError as error:
            best = str(error)
        frame = self.table().reset_index()
        rows = frame.head(html.MOST_ROWS).astype(object).values.tolist()
        ranked = html.table([str(name) for name in frame.columns], rows, len(frame))
        return html.paragraph(best) + ranked + self.checks()._repr_html_()

    @property
    def score(self) -> Score:
        """What ranks the configurations."""
        return score_of(self.dataset)

    @property
    def categories(self) -> dict[str, tuple]:
        """The names of classes that codes in the data stand for: code i is the i-th.

        A leaf of the data (``"y"``, ``"x.city"``) to its names, of the leaves that held names.
        """
        found = json.loads(self.dataset.attrs.get("categories", "{}"))
        return {leaf: tuple(names) for leaf, names in found.items()}

    def ranked_by(
        self, metric: str, *, mode: str | None = None, select: str | None = None
    ) -> "Result":
        """Rank by another metric that was recorded; nothing is trained.

        Args:
            metric: as in `jf.sweep`, such as ``"valid_error"``.
            mode: "min" or "max"; by default "min" for a loss.
            select: "last" or "best"; by default as it is.

        Returns:
            The same result with another score. Weights that were kept at the evaluation that was
            best by the old metric, where the new one has another, are left out with a
            `JefficientWarning`. `test` is None where another configuration is the best now.

        Raises:
            ArgumentError: if there is no such metric, or `mode` is missing or unknown.
        """
        dataset, weights = ranked(self.dataset, self.weights, metric, mode, select)
        again = dataclasses.replace(self, dataset=dataset, weights=weights)
        if self.test is not None:
            config = int(self.test.attrs["config"])
            is_best = again.table().index[0] == config
            has_weights = any(trial[0] == config for trial in weights)
            again = dataclasses.replace(again, test=self.test if is_best and has_weights else None)
        return again

    def table(self) -> pd.DataFrame:
        """Rank the configurations, best first.

        Returns:
            A DataFrame indexed by `config`: the hyperparameters; the score's mean over the trials
            that did not diverge (NaN if it is not finite in one of them) and its standard deviation
            (`<metric>_std`, NaN for one trial); the mean's standard error (`<metric>_se`, corrected
            for folds, which overlap; NaN for one trial, or where one diverged); the mean of
            everything else measured at the same evaluation, or at the last one if the score is not
            finite; `trials`, and how many of them were `stopped` and `diverged`. Configurations
            that were stopped come after those that finished, those that got furthest first; those
            with a diverged trial come last, those with fewest first.
        """
        return table(self.dataset)

    def best(self, rule: str = "best", prefer: Mapping[str, Any] | None = None) -> Best:
        """Choose a configuration, among those whose trials all finished with a finite score.

        Args:
            rule: "best", the best mean score; or "1se", the configuration that `prefer` ranks first
                among those whose mean is within one standard error (the best's own) of the best
                mean. It is simpler or cheaper than the best, and not clearly worse.
            prefer: for "1se": name to "high" or "low" for a hyperparameter with numbers, or to one
                of its values, which then comes first; the first name counts most: ``{"l2": "high",
                "batch_size": "low"}``. Ties in it are ranked by score.

        Returns:
            The configuration; its standard error is corrected for folds, which overlap (see
            `compare`).

        Raises:
            JefficientError: if every configuration has a trial that did not finish, or whose score
                is not finite.
            ArgumentError: if the rule or a name or value of `prefer` is unknown, one of the two
                is without the other, or one seed and one fold leave no standard error.

        References:
            Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees",
            section 3.4.3; Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical
            Learning", section 7.10.
        """
        return choose(self.dataset, self.space, rule, prefer)

    def ties(self, alpha: float = 0.05) -> pd.DataFrame:
        """Select the configurations that could be the best: those not shown to be worse than it.

        Every configuration whose trials all finished is compared with the best on the same seeds
        and folds, with two-sided p-values times the number of comparisons, m - 1 for m
        configurations (Bonferroni). The variance of one difference, which `compare` uses, comes
        from few seeds or folds; here each configuration's is drawn towards what the better half has
        in common (Smyth 2004), which tells far more apart; of two it is the same test. The truly
        best one is left out only where one of the m - 1 others beats it significantly, which
        happens with probability alpha / (m - 1) at most for each: so it is among those returned
        with probability 1 - alpha at least. Where all are equally good, a single one is returned
        alpha of the time at most, since the test is two-sided. Both hold where scores are normal
        and `compare`'s correction for folds is right; simulated, they hold with three seeds whose
        standard deviations differ twentyfold between configurations. With one seed and one fold
        nothing can be told: all configurations are returned, their p-values NaN.

        Args:
            alpha: between 0 and 1.

        Returns:
            A DataFrame indexed by `config`, best first, the best itself among them: the
            hyperparameters; the score's mean; `difference` (the score minus the best's); its
            `standard_error` and `p_value`, corrected and 1 at most, both NaN for the best.

        Raises:
            ArgumentError: if alpha is not between 0 and 1.
            JefficientError: if no configuration finished.

        References:
            Smyth (2004), "Linear models and empirical Bayes methods for assessing differential
            expression in microarray experiments", Statistical Applications in Genetics and
            Molecular Biology 3, section 6.2.
        """
        return ties(self.dataset, alpha)

    def compare(self, a: int, b: int) -> Comparison:
        """Compare two configurations on the same seeds and folds by a paired t-test.

        The units are the seeds or, where there are folds, the folds, each with the mean over its
        seeds. Folds share training examples, so the variance of the mean is not s²/k but s² (1/k +
        n_test/n_train), with k - 1 degrees of freedom. One comparison is tested, with the spread of
        its own difference; to find out what could be the best of many there is `ties`, whose
        standard errors draw on all configurations and so are others. Where a metric takes few
        values (the error of 20 examples), differences may agree by chance, and the p-value is too
        small.

        Args:
            a: a configuration's number, as in `table()`.
            b: another's.

        Raises:
            ArgumentError: if there is no such configuration, or one has a trial without a score
                (it diverged) or one that did not finish.
            ArgumentTypeError: if a number is not whole.

        References:
            Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52,
            equation 15.
        """
        return compare(self.dataset, a, b)

    def optimum(
        self, name: str, by: str | Sequence[str] | None = None, level: float = 0.95
    ) -> Optimum:
        """Locate the best value of a hyperparameter, with an interval, from the curve of scores.

        The curve is that of the score, or of its logarithm where it is a positive loss, over the
        logarithm of the hyperparameter, the others as in the best configuration. A quadratic with a
        cubic term is fitted around its best value; leave-one-value-out cross-validation chooses the
        window. Values at which a trial diverged are left out of it, and say where divergence
        begins. The interval is that of the values at which the slope, in paired t-tests over seeds
        (or folds, with `compare`'s correction), could be zero. Simulated, it covers the exact
        optimum in about 95 % of sweeps with 4 to 16 seeds; less where scores are skewed or values
        far apart (the guide has figures, under "The optimum").

        Args:
            name: a hyperparameter with positive numbers; configurations at zero are left out.
            by: other hyperparameters with positive numbers, such as the batch size: the optimum is
                located at each of their levels, and a power law fitted through those. Here one
                trial of each configuration is enough: the scatter of the optima says how sure the
                law is. A level without an optimum is left out, and said in ``law.refused``.
            level: of the intervals, between 0 and 1.

        Returns:
            The optimum; with `by` that of the level with the best score, and all of them as
            ``law.optima``.

        Raises:
            ArgumentError: with what to sweep next, if fewer than 4 values finished, the best of
                them or the interval is at an end of the values, the curve has no minimum, or there
                is one trial of each configuration; or fewer than 3 levels have an optimum; if a
                name is unknown, or its values are arrays, labels or not positive; or if level is
                not between 0 and 1.

        References:
            Fieller (1954), "Some problems in interval estimation", Journal of the Royal Statistical
            Society B 16; Calonico, Cattaneo and Farrell (2018), "On the effect of bias estimation
            on coverage accuracy in nonparametric inference", Journal of the American Statistical
            Association 113; for sensitivity Wortsman et al. (2023), "Small-scale proxies for
            large-scale Transformer training instabilities", section 2.2.
        """
        return optimum("jf.Result.optimum", self.dataset, name, by, level)

    def next_space(self) -> NextSpace:
        """Propose where to look next: a range for each hyperparameter, and a grid within them.

        For each hyperparameter the first of these rules decides, and says so:

        - Texts, functions and other labels: those stay that are not clearly worse, in no
          configuration that `ties` returns.
        - The best value is at an edge, as the check `boundary` has it: from its neighbour to a
          decade beyond (half a decade, if values were drawn; a step, where values are not spread
          over decades; double or half of whole numbers).
        - `optimum` can be said: its interval, at least from half of it to double.
        - It has less than 5 % of the `importance` (with Optuna installed, and 50 configurations):
          the best value stays, and where it matters together with another, that one is searched.
        - Otherwise around the values of the best eighth of the configurations: from the next
          smaller to the next larger that was tried, among decades at least from half to double.

        Above the largest value that finished the range ends where divergence begins. Batch sizes
        and other static numbers are chosen among the values that were tried, since each has a
        program (a file does not say which numbers were static: load it with its task). The grid has
        7 values of the most important logarithmic range, 3 of the others (the ends and the best),
        and 64 configurations at most.

        Returns:
            A `jf.Space` for `jf.sweep`, with `ranges` to draw from and `seeds` to ask for. Print
            it for the reasons.

        Raises:
            ArgumentError: if no configuration finished, or sweeps with different optimizers were
                added.

        References:
            Godbole et al. (2023), Deep Learning Tuning Playbook, "Identifying bad search space
            boundaries" and "Exploration vs exploitation".
        """
        are_static = frozenset() if self.programs is None else self.programs.static
        return next_space(self.dataset, self.space, are_static)

    def checks(self) -> Checks:
        """Warn as a careful practitioner would: of an optimum at a range's edge, overfitting, ….

        Returns:
            A tuple of `Check`, empty where there is nothing to say; printed it has one a line.
        """
        return checks(self.dataset)

    def grid(self) -> xr.Dataset:
        """Reshape the dataset of a full product: a dimension for each hyperparameter, no `config`.

        That of a hyperparameter that is an array is labelled by short texts; its numbers are the
        coordinate ``<name>_values``.

        Raises:
            ArgumentError: if the configurations are not all combinations of their values.
        """
        return unstacked("jf.Result.grid", self.dataset)

    @property
    def plot(self) -> Plots:
        """Plots of the result (extra `plot`)."""
        return Plots(self.dataset, self.score)

    def __add__(self, other: "Result") -> "Result":
        """Join two sweeps of one task; the configurations of `other` come after these.

        A configuration that is in both comes once, as it is here, with a `JefficientWarning`.
        `test` is None, since the best configuration may be another one now. Sweeps with different
        optimizers get the hyperparameter `optimizer`, and those that only one of them has are None
        in the other.

        Raises:
            ArgumentError: if data, seeds, folds, the key, the length of training or the score
                differ, or hyperparameters of the same optimizer.
        """
        if not isinstance(other, Result):
            return NotImplemented
        contents = [
            Content(x.dataset, x.space, x.weights, x.states, x.programs) for x in (self, other)
        ]
        return Result(**joined(*contents)._asdict())

    def __radd__(self, other: object) -> "Result":
        """``sum(results)`` begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def save(self, path: str | os.PathLike) -> Path:
        """Write the result to a netCDF file, whole or not at all.

        `jf.load` reads it; xarray reads its dataset.

        Args:
            path: the file; an existing one is replaced, of a symlink the file that it points to.

        Returns:
            The path.

        Raises:
            StorageError: if it cannot be written.
            JefficientError: if it has an attribute or a label that netCDF cannot hold.
        """
        held = Checkpoints(self.weights, self.states)
        return save("jf.Result.save", Path(path), self.dataset, self.test, held)

    def report(
        self,
        path: str | os.PathLike,
        *,
        title: str | None = None,
        sensitivity: pd.DataFrame | None = None,
        stopping: Iterable[Simulation] = (),
    ) -> Path:
        """Write an HTML page: the answer, what could be as good, checks, plots, the table.

        With Optuna installed it has a section on the importance of hyperparameters.

        The page is one file that needs no network. It is written whole or not at all. Of more than
        10 000 configurations the best 10 000 are in its table, which says so.

        Args:
            path: the file; an existing one is replaced, of a symlink the file that it points to.
            title: the page's title, by default "Results of a sweep".
            sensitivity: what `sensitivity` returned, for a section that shows it; a report trains
                nothing by itself.
            stopping: what `jf.simulate` returned for some rules, for a section on what they would
                have cost and lost.

        Returns:
            The path.

        Raises:
            ArgumentError: if a simulation is of another sweep.
            StorageError: if it cannot be written.
            JefficientError: if Jinja2 or matplotlib are not installed (extra `plot`).
        """
        return write_report(
            "jf.Result.report",
            Path(path),
            self.dataset,
            self.space,
            title,
            sensitivity,
            stopping,
        )

    def log(self, *loggers: Logger) -> None:
        """Write the result to loggers, as ``jf.sweep(log=…)`` does while it runs: a run a trial.

        Every call writes runs of its own, under a new name of the sweep.

        Args:
            *loggers: such as `jf.tensorboard`, `jf.mlflow` or `jf.wandb`.

        Raises:
            ArgumentTypeError: if one is no `jf.Logger`.
            Exception: what a logger raises.
        """
        where = "jf.Result.log"
        log = Log(where, checked_loggers(where, loggers, "loggers"), Ledger(where), raises=True)
        try:
            log.of(lambda: self.dataset)(curves_of(self.dataset))
        finally:
            log.close()

    def to_study(
        self, storage: "str | BaseStorage | None" = None, *, study_name: str | None = None
    ) -> "Study":
        """Return the result as a study of Optuna, for its dashboard and plots (extra `optuna`).

        Every configuration is a trial, as `jf.optuna` tells it: its value is the mean score over
        seeds and folds, its intermediate values are that mean at up to 20 evaluations. One with a
        diverged trial is ``FAIL`` (its user attribute `failed` says why), a stopped one ``PRUNED``.

        Args:
            storage: the address of a database, ``"sqlite:///study.db"``, which
                ``optuna-dashboard sqlite:///study.db`` shows; a storage of Optuna's; or None for
                memory.
            study_name: of a study that is not there yet; by default a name of its own.

        Returns:
            An ``optuna.Study``. Numbers are ranges from their least to their largest value, linear
            or logarithmic as they are spread; the rest are choices among labels.

        Raises:
            JefficientError: if Optuna is not installed.
        """
        return to_study("jf.Result.to_study", self.dataset, storage, study_name)

    def save_params(
        self, path: str | os.PathLike, config: int | None = None, seed: int = 0, fold: int = 0
    ) -> Path:
        """Write the trained parameters of one trial as safetensors (extra `safetensors`).

        A parameter's name is its path in the tree, ``layer.kernel``; where weights are pairs
        ``(params, state)``, as those of flax and equinox are, ``params.layer.kernel`` and
        ``state.norm.mean``. The metadata have the hyperparameters. `jf.load_params` reads it.

        Args:
            path: the file; an existing one is replaced, of a symlink the file that it points to.
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Returns:
            The path.

        Raises:
            ArgumentError: if these weights were not checkpointed.
            StorageError: if it cannot be written.
            JefficientError: if safetensors is not installed.
        """
        config = self._or_best(config)
        params = self.params(config, seed, fold)
        texts = hyperparameter_texts(self.dataset, config)
        where = "jf.Result.save_params"
        return save_safetensors(where, Path(path), params, self.dataset, texts)

    def params(self, config: int | None = None, seed: int = 0, fold: int = 0) -> Params:
        """Return the trained parameters of one trial, as NumPy arrays.

        Args:
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Raises:
            ArgumentError: if these weights were not checkpointed.
        """
        config = self._or_best(config)
        if (config, seed, fold) in self.weights:
            return self.weights[config, seed, fold]
        there = sorted({place[0] for place in self.weights})
        advice = "for more with keep_configs=…" if there else "for them with keep='last'"
        raise ArgumentError(
            f"jf.Result.params: weights must have been checkpointed, got config={config}, "
            f"seed={seed}, fold={fold}; there are those of the configurations {there}. "
            f"Ask jf.sweep {advice}."
        )

    def state(
        self,
        config: int | None = None,
        seed: int = 0,
        fold: int = 0,
        evaluation: int | None = None,
    ) -> TrialState:
        """Return a trial as it was at an evaluation, for ``jf.sweep(start=…)`` to go on from.

        Args:
            config: by default the best one.
            seed: which repetition.
            fold: which fold.
            evaluation: its number in the dataset; by default the last one that was kept.

        Raises:
            ArgumentError: if this state was not kept. A trial that diverged has none.
        """
        config = self._or_best(config)
        kept = self.states.get((config, seed, fold), {})
        chosen = max(kept, default=-1) if evaluation is None else evaluation
        if chosen in kept:
            return kept[chosen]
        there = {
            "evaluations": sorted(kept),
            "configurations": sorted({place[0] for place in self.states}),
        }
        what, found = next((x for x in there.items() if x[1]), ("configurations", []))
        raise ArgumentError(
            f"jf.Result.state: the state must have been kept, got config={config}, seed={seed}, "
            f"fold={fold}, evaluation={evaluation}; there are those of the {what} {found}. Ask "
            f"jf.sweep for it with keep_states='last', 'best' or evaluations, and for more "
            f"configurations with keep_configs=…"
        )

    def replay(self, config: int | None = None, seed: int = 0, fold: int = 0) -> Replay:
        """Train one trial again, alone in a block of the recorded width.

        The numbers are the same, bit for bit, on the same versions of jax and the same kind of
        device. The weights are those that the sweep checkpointed, or would have. A trial that was
        stopped makes as many updates as then. If a number differs nevertheless, a
        `JefficientWarning` says both: a function reads something that has changed.

        Args:
            config: by default the best one.
            seed: which repetition.
            fold: which fold.

        Raises:
            ArgumentError: if there is no such trial.
            ArgumentTypeError: if a number is not whole.
            JefficientError: if the task is not at hand (the result was not made by this process).
        """
        config = self._or_best(config)
        trainer = self._trainer("jf.Result.replay", config=config, seed=seed, fold=fold)
        return trainer.replay(self.dataset, config, seed, fold)

    def refit(
        self,
        config: int | None = None,
        seed: int = 0,
        *,
        steps: int | None = None,
        epochs: float | None = None,
    ) -> Replay:
        """Train one configuration on all examples, those of the validation set among them.

        For as many updates or epochs as in the sweep; with ``select="best"`` as far as the
        evaluation that counts, on average over the configuration's trials. The seed draws the
        initial parameters and the order of examples. In a sweep that began from states
        (``start=``) it begins from that of the trial.

        Args:
            config: by default the best one.
            seed: which repetition.
            steps: updates, to train longer or shorter than in the sweep; give this or `epochs`.
                Only where no function requests `steps`: a schedule that ends with the training
                would be another one.
            epochs: passes over all examples.

        Returns:
            A `Replay`: training curves and weights.

        Raises:
            ArgumentError: if there is no such configuration, the sweep was of a `jf.Trial`, which
                has no examples, or a length is given twice, or where a function requests `steps`.
            ArgumentTypeError: if a number is not whole.
            JefficientError: if the task is not at hand (`jf.load` without it).
        """
        config = self._or_best(config)
        trainer = self._trainer("jf.Result.refit", config=config, seed=seed)
        return trainer.refit(self.dataset, config, seed, Length(steps, epochs))

    def sensitivity(self, config: int | None = None) -> pd.DataFrame:
        """Differentiate the score of a configuration in the logarithm of each hyperparameter.

        x·∂score/∂x is how much the score changes if x grows by a factor of e, as far as it is
        linear: an increase by 1 % changes it by a hundredth of that. The trials of the
        configuration are trained again, as `replay` does, and differentiated (see
        `jf.hypergradient`), each up to the evaluation that counts.

        Args:
            config: by default the best one.

        Returns:
            A DataFrame indexed by `hyperparameter` (an element of an array is ``name[i]``):
            `value`; `derivative`, of the mean score over seeds and folds; its `standard_error`,
            corrected for folds, NaN for one trial; `advice`: "raise" or "lower", which way the
            score gets better; "unclear" if the derivative is within two standard errors of zero;
            "does not matter" if it is zero, or with two standard errors less than the score's own
            standard error; "explodes" (training is chaotic there, and the derivative says nothing
            of changes that are not tiny). Whole numbers, static values and zeros are named and have
            no derivative. ``plot.values(name, sensitivity=table)`` draws it as an arrow, and
            ``report(path, sensitivity=table)`` shows it.

        Raises:
            ArgumentError: if there is no such configuration, one of its trials was stopped,
                interrupted or diverged, no hyperparameter is a float, or for what
                `jf.hypergradient` refuses.
            ArgumentTypeError: if a number is not whole.
            JefficientError: if the task is not at hand (`jf.load` without it).

        References:
            Metz et al. (2021), "Gradients are Not All You Need".
        """
        config = self._or_best(config)
        trainer = self._trainer("jf.Result.sensitivity", config=config)
        derivatives = trainer.derivatives(self.dataset, config)
        return sensitivity_table(self.dataset, self.space, config, derivatives)

    def importance(
        self,
        metric: str | None = None,
        *,
        mode: str | None = None,
        quantile: float = 0.1,
        level: float = 0.95,
    ) -> pd.Series:
        """Say which hyperparameters decide whether a configuration is among the best.

        PED-ANOVA, by Optuna (extra `optuna`): for each hyperparameter, how far its distribution
        among the best configurations is from that among all (their Pearson divergence), as a share
        of the sum. It sees one hyperparameter at a time: one that matters only together with
        another (a rate that is right for its batch size) may look unimportant. Numbers are taken on
        the scale on which they are evenly spread, linear or logarithmic; texts, and numbers with 0
        among decades, as categories; arrays element by element. A configuration that was stopped or
        diverged is not among the best.

        Args:
            metric: as in `jf.sweep`; by default the sweep's own.
            mode: "min" or "max", with a `metric` that is no loss.
            quantile: the share of configurations that is called the best, between 0 and 1.
            level: of the intervals, between 0 and 1.

        Returns:
            A Series that sums to 1, indexed by `hyperparameter`, the most important first; an
            element of an array is ``name[i]``. Its ``attrs["low"]`` and ``attrs["high"]`` map each
            name to its interval: quantiles over 200 bootstrap samples of the seeds or, where there
            are folds, of the folds, NaN for one. They say how much depends on these seeds, not on
            these configurations; of two or three seeds they are too narrow.

        Raises:
            ArgumentError: if fewer than two configurations would be among the best, fewer finished
                than that, all scores or all values are alike, there is no such metric, or a number
                is out of range.
            JefficientError: if Optuna is not installed.

        References:
            Watanabe, Bansal and Hutter 2023, PED-ANOVA: Efficiently Quantifying Hyperparameter
            Importance in Arbitrary Subspaces, https://arxiv.org/abs/2304.10255.
        """
        dataset = self.dataset
        if metric is not None:
            dataset = ranked(dataset, {}, metric, mode, None).dataset
        return importance(IMPORTANCE, dataset, quantile, level)

    def _or_best(self, config: int | None) -> int:
        return self.best().config if config is None else config

    def _trainer(self, where: str, **trial: int) -> Trainer:
        """What trains, once the trial is known to be there."""
        for name, place in trial.items():
            check_place(where, self.dataset.sizes[name], **{name: place})
        if self.programs is None:
            raise JefficientError(
                f"{where}: the task must be at hand, got a result without one. "
                "jf.load(path, task=…) gives it back."
            )
        return self.programs
