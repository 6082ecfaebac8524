"""Ridge and logistic regression: scikit-learn's optima, and the choice of its `GridSearchCV`.

One sweep for each data set: every strength of the penalty and every fold is a lane, trained in
float64 by Nesterov's momentum on full batches until nothing moves. All folds have batches of one
size, so the last few examples are left out.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sweeps import test_paths

import jefficient as jf

FOLDS = 5
L2 = np.geomspace(3e-4, 3, 9).astype(np.float32)  # as hyperparameters are


class Problem(NamedTuple):
    """A data set, and a model of it in both libraries.

    `loss` is that of examples, of their outputs (n, outputs) and targets, (n,); it is curved by
    `curvature` at most. `strengths` are scikit-learn's for `L2` and n examples.
    """

    load: Callable
    outputs: int
    loss: Callable
    curvature: float
    model: Any
    name: str
    strengths: Callable
    scoring: str
    folds: Any


def squares(outputs, y):
    return (outputs[:, 0] - y) ** 2


def sigmoid(outputs, y):
    return optax.sigmoid_binary_cross_entropy(outputs[:, 0], y)


def softmax(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y.astype(int))


LOGISTIC = {
    "model": LogisticRegression(solver="newton-cholesky", tol=1e-10),
    "name": "logisticregression__C",
    "strengths": lambda l2, n: 1 / (n * l2),  # its objective is C Σ loss + ½|w|²
    "scoring": "neg_log_loss",
    "folds": StratifiedKFold(FOLDS),
}
PROBLEMS = {
    "diabetes": Problem(
        load=datasets.load_diabetes,
        outputs=1,
        loss=squares,
        curvature=2.0,
        model=Ridge(),
        name="ridge__alpha",
        strengths=lambda l2, n: n * l2 / 2,  # its objective is Σ loss + alpha |w|²
        scoring="neg_mean_squared_error",
        folds=KFold(FOLDS),
    ),
    "breast cancer": Problem(datasets.load_breast_cancer, 1, sigmoid, 0.25, **LOGISTIC),
    "wine": Problem(datasets.load_wine, 3, softmax, 0.5, **LOGISTIC),
}


def examples(problem):
    """Return inputs (n, features) and targets (n,), n a multiple of the folds."""
    x, y = problem.load(return_X_y=True)
    n = len(y) // FOLDS * FOLDS
    return x[:n], y[:n].astype(float)


def fit_scaler(data):
    return {"mean": data["x"].mean(axis=0), "deviation": data["x"].std(axis=0)}


def apply_scaler(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["deviation"]}


def swept(problem, l2):
    """Return the sweep over these strengths and all folds."""
    x, y = examples(problem)
    standard = StandardScaler().fit_transform(x)
    steepest = 1.2 * np.linalg.eigvalsh(standard.T @ standard / len(y))[-1]  # in a fold, too
    largest = problem.curvature * steepest + float(l2.max())  # eigenvalues of the Hessian
    least = float(l2.min()) / 4  # below the strength, since biases are free
    root = (largest / least) ** 0.5
    optimizer = jf.sgd(1 / largest, momentum=(root - 1) / (root + 1), nesterov=True)
    steps = round(25 * root)  # the error shrinks by 1 - 1 / root in each

    def init(key):
        return {"w": jnp.zeros((x.shape[1], problem.outputs)), "b": jnp.zeros(problem.outputs)}

    def loss(params, batch):
        return jnp.mean(problem.loss(batch["x"] @ params["w"] + params["b"], batch["y"]))

    task = jf.Task(
        init=init,
        loss=jf.regularized(loss, l2=0.0, mask={"w": True, "b": False}),
        data={"x": x, "y": y},
        prepare=(fit_scaler, apply_scaler),
    )
    return jf.sweep(
        task,
        lambda: optimizer,
        jf.grid(l2=l2.tolist()),
        steps=steps,
        eval_every=steps,
        batch_size=len(y) // FOLDS * (FOLDS - 1),
        folds=problem.folds,
        keep_configs=len(l2),
        progress=False,
    )


def searched(problem, l2):
    """Return scikit-learn's search over the same strengths and folds."""
    x, y = examples(problem)
    strengths = problem.strengths(l2.astype(float), len(y) // FOLDS * (FOLDS - 1))
    model = make_pipeline(StandardScaler(), problem.model)
    axes = {problem.name: strengths.tolist()}
    search = GridSearchCV(model, axes, cv=problem.folds, scoring=problem.scoring)
    return search.fit(x, y)


class Comparison(NamedTuple):
    """Scores of both, (strengths,); the largest difference of coefficients, relative."""

    ours: np.ndarray
    theirs: np.ndarray
    coefficients: float


def compared(problem, l2=L2):
    """Compare scores of all strengths, and the optima of all strengths and folds."""
    x, y = examples(problem)
    with jax.enable_x64(True):
        result = swept(problem, l2)
    search = searched(problem, l2)
    differences = []
    for config, strength in enumerate(search.param_grid[problem.name]):
        model = search.estimator.set_params(**{problem.name: strength})
        for fold, (train, _) in enumerate(problem.folds.split(x, y)):
            fitted = model.fit(x[train], y[train])[-1]
            params = result.params(config, fold=fold)
            apart = params["w"].T - np.atleast_2d(fitted.coef_)
            differences.append(abs(apart).max() / abs(fitted.coef_).max())
    ours = result.dataset["valid_loss"].values[:, 0, :, -1].mean(axis=1)
    return Comparison(ours, -search.cv_results_["mean_test_score"], max(differences))


def report_paths():
    """Print how far the paths of tests/sweeps/test_paths.py are apart, the lasso's the last."""
    with jax.enable_x64(True):
        path, _ = test_paths.warm_path()
    for ratio, ours, theirs in test_paths.both_paths(path):
        print(
            f"path of {ours.shape[1]} strengths, L1's share {ratio:.3g}: coefficients within "
            f"{abs(ours - theirs).max():.1e}, {((ours == 0) != (theirs == 0)).sum()} zeros differ",
            flush=True,
        )


def report():
    """Print paths; then winners, scores and differences."""
    report_paths()
    for name, problem in PROBLEMS.items():
        began = time.perf_counter()
        got = compared(problem)
        winners = [L2[scores.argmin()] for scores in (got.theirs, got.ours)]
        print(
            f"{name}: GridSearchCV's winner has l2 {winners[0]:.4g} and score "
            f"{got.theirs.min():.6f}, ours {winners[1]:.4g} and {got.ours.min():.6f}; scores of "
            f"{len(L2)} strengths within {abs(got.ours / got.theirs - 1).max():.1e}, coefficients "
            f"of {len(L2) * FOLDS} fits within {got.coefficients:.1e} of the largest "
            f"({time.perf_counter() - began:.0f} s)",
            flush=True,
        )
