"""Does descending the exact derivative of a training run beat TPE and random search?

    python tests/benchmarks/gradient_search.py [--repeats 10] [--numbers 16,64,256] [--tasks …]
        [--record FILE]

Five tasks of scikit-learn's bundled data; an MLP with one hidden layer, 200 updates of Adam on
batches of 32, the mean over two seeds. The hyperparameters are n numbers between 0 and 1: half are
knots of the learning rate's schedule (1e-4 to 1e-1 on a logarithmic scale), half are strengths of
an L2 penalty (1e-6 to 1e-1), each of its share of the first layer's weights. All methods get the
same CPU seconds, those of 192 random configurations: Optuna's TPE (the sampler's own time is left
out, which favours it), and gradient descent by Adam from the best of 32 random configurations, with
as many steps as one of its derivatives costs in trials. Each method's best by validation is
evaluated on the test set. Every repetition splits the data and draws all seeds anew. With a record,
a run that was ended goes on where it was: hours are needed for 256 numbers.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optuna
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import jefficient as jf

TASKS = ("wine", "breast_cancer", "iris", "digits", "diabetes")
HIDDEN = 32
STEPS = 200
BUDGET = 192
BEGIN = 32
"""Random configurations from which descent begins."""
MOST = 1000
"""Examples of a data set at most."""
STEP_SIZE = 0.3
"""Of Adam, in the logits of the numbers."""
SETTINGS = {"steps": STEPS, "batch_size": 32, "seeds": 2, "eval_every": STEPS}


def splits_of(name, seed):
    """Return training, validation and test examples: half, a quarter and a quarter."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, y = x[:MOST], y[:MOST]
    is_regression = name == "diabetes"
    y = (y - y.mean()) / y.std() if is_regression else y
    kept = {"random_state": seed, "stratify": None if is_regression else y}
    x, x_rest, y, y_rest = train_test_split(x, y, test_size=0.5, **kept)
    scaler = StandardScaler().fit(x)
    half = len(x_rest) // 2
    parts = (x, y), (x_rest[:half], y_rest[:half]), (x_rest[half:], y_rest[half:])
    dtype = np.float32 if is_regression else np.int32
    return [{"x": scaler.transform(x).astype(np.float32), "y": y.astype(dtype)} for x, y in parts]


def functions_of(name, numbers):
    """Return `init` and `loss`, which all repetitions share, so that programs are compiled once."""
    train, _, _ = splits_of(name, 0)
    features = train["x"].shape[1]
    is_regression = name == "diabetes"
    outputs = 1 if is_regression else int(train["y"].max()) + 1
    group_of = np.random.default_rng(0).integers(0, numbers // 2, (features, HIDDEN))

    def init(key):
        first, second = jax.random.split(key)
        return {
            "w1": jax.random.normal(first, (features, HIDDEN)) / features**0.5,
            "b1": jnp.zeros(HIDDEN),
            "w2": jax.random.normal(second, (HIDDEN, outputs)) / HIDDEN**0.5,
            "b2": jnp.zeros(outputs),
        }

    def fit(params, batch):
        out = jnp.tanh(batch["x"] @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
        if is_regression:
            return jnp.mean((out[:, 0] - batch["y"]) ** 2)
        return optax.softmax_cross_entropy_with_integer_labels(out, batch["y"]).mean()

    def loss(params, batch, u):
        strengths = 10 ** (-6 + 5 * u[numbers // 2 :])
        return fit(params, batch) + jnp.sum(strengths[group_of] * params["w1"] ** 2)

    loss.unpenalised = fit
    return init, loss


def task_of(functions, name, seed):
    """Return the task with its data split by a seed."""
    init, loss = functions
    train, valid, test = splits_of(name, seed)
    return jf.Task(init=init, loss=loss, data=train, validation=valid, test=test)


def optimizer_of(numbers):
    """Return an optimizer whose rate goes through half of the numbers."""
    knots = np.linspace(0, STEPS, numbers // 2)

    def optimizer(u):
        return jf.adam(jf.interpolated_schedule(knots, 10 ** (-4 + 3 * u[: numbers // 2])))

    return optimizer


def best_of(task, optimizer, space):
    """Return the best numbers of a space or search, and its validation score."""
    given = {"progress": False, "keep_configs": 1, **SETTINGS}
    result = jf.sweep(task.without_test(), optimizer, space, **given)
    best = result.best()
    return np.array(best.hyperparameters["u"]), best.score


def by_random(task, optimizer, numbers, count, seed):
    return best_of(
        task, optimizer, jf.random(count, seed=seed, u=jf.Uniform(0, 1, shape=(numbers,)))
    )


def by_tpe(task, optimizer, numbers, seed):
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=BEGIN)
    space = {"u": jf.Uniform(0, 1, shape=(numbers,))}
    search = jf.optuna(sampler, BUDGET, batch=16, storage=None, **space)
    return best_of(task, optimizer, search)


def by_gradient(task, optimizer, numbers, seed, rounds):
    """Descend in the logits of the numbers; keep the best that was seen."""
    u, score = by_random(task, optimizer, numbers, BEGIN, seed)
    best = score, u
    z = np.log(u / (1 - u)).astype(np.float32)
    adam = optax.adam(STEP_SIZE)
    state = adam.init(z)
    for _ in range(rounds):
        u = 1 / (1 + np.exp(-z))
        try:
            found = jf.hypergradient(task.without_test(), optimizer, {"u": u}, **SETTINGS)
        except jf.ArgumentError:  # it diverged
            break
        if found.score < best[0]:
            best = found.score, u
        updates, state = adam.update(found.gradient["u"] * u * (1 - u), state)
        z = np.asarray(z + updates, np.float32)
    return best[1], best[0]


def loss_on_test_set(task, optimizer, u):
    """Return the test loss of a configuration, the mean over seeds."""
    space = jf.grid(u=np.asarray(u)[None])
    result = jf.sweep(task, optimizer, space, progress=False, **SETTINGS)
    return float(result.test["test_loss"].mean())


def cost(task, optimizer, numbers):
    """Return the CPU seconds of a derivative, in those of a configuration of a random search."""
    u = np.full(numbers, 0.5)

    def trials():
        by_random(task, optimizer, numbers, BUDGET, seed=999)

    def derivative():
        jf.hypergradient(task.without_test(), optimizer, {"u": u}, **SETTINGS)

    def fastest(call):
        call()  # compiles
        seconds = []
        for _ in range(5):
            begun = time.process_time()
            call()
            seconds.append(time.process_time() - begun)
        return min(seconds)

    return fastest(derivative) / (fastest(trials) / BUDGET)


def compare(task, optimizer, numbers, seed, price):
    """Return for each method its best validation score, and its loss on the test set."""
    found = {
        "random": by_random(task, optimizer, numbers, BUDGET, seed),
        "TPE": by_tpe(task, optimizer, numbers, seed),
        "gradient": by_gradient(task, optimizer, numbers, seed, int((BUDGET - BEGIN) / price)),
    }
    return {
        method: (float(score), loss_on_test_set(task, optimizer, u))
        for method, (u, score) in found.items()
    }


def record_of(path):
    """Return what a file holds: (task, numbers, repetition) to price and losses."""
    lines = path.read_text().splitlines() if path is not None and path.exists() else []
    return {tuple(key): (price, losses) for key, price, losses in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--numbers", default="16,64,256")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--record", type=Path, help="a file of JSON lines to go on with")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("task, numbers: cost of a derivative; validation and test loss, mean ± standard error")
    sizes = map(int, options.numbers.split(","))
    done = record_of(options.record)
    for numbers, name in itertools.product(sizes, options.tasks.split(",")):
        optimizer = optimizer_of(numbers)
        functions = functions_of(name, numbers)
        price = None
        for repeat in range(options.repeats):
            if (name, numbers, repeat) in done:
                price, _ = done[name, numbers, repeat]
                continue
            task = task_of(functions, name, repeat)
            price = cost(task, optimizer, numbers) if price is None else price
            losses = compare(task, optimizer, numbers, repeat, price)
            done[name, numbers, repeat] = price, losses
            if options.record is not None:
                with options.record.open("a") as file:
                    file.write(json.dumps([(name, numbers, repeat), price, losses]) + "\n")
        each = [done[name, numbers, repeat][1] for repeat in range(options.repeats)]
        print(f"{name}, {numbers}: {price:.1f} trials, {int((BUDGET - BEGIN) / price)} steps")
        for method in each[0]:
            pairs = np.array([losses[method] for losses in each])
            means = pairs.mean(axis=0)
            errors = pairs.std(axis=0, ddof=1) / len(pairs) ** 0.5 if len(pairs) > 1 else means
            print(
                f"  {method:<9} {means[0]:.4f} ± {errors[0]:.4f}  {means[1]:.4f} ± {errors[1]:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
