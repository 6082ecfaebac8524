"""Digests of the programs that sweeps compile, to see whether a change of code changed them.

    python tests/program_digests.py                # compare with program_digests.json; exit status
    1 on a difference python tests/program_digests.py --write        # make them the ones to compare
    with, for this version of jax python tests/program_digests.py --texts DIR    # write the
    programs' texts too, to see where they differ

One small sweep of every kind runs through the public API. Whatever it lowers and compiles ahead of
time is digested as its lowered text, with what does not change the arithmetic taken out: locations,
names of functions and of results.
"""

import argparse
import functools
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # before jax starts
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one block at a time: equal widths
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # what is compiled is not read

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jefficient as jf

DIGESTS = Path(__file__).with_suffix(".json")

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(40, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5])).astype(np.float32)
IMAGES = _RNG.normal(size=(12, 4, 4, 2)).astype(np.float32)
RESULT_INFO = re.compile(r'jax\.result_info = "[^"]*"')
SYMBOL = re.compile(r"@[\w.$]+")
UNEVEN = [(np.arange(10, 40), np.arange(10)), (np.arange(25), np.arange(25, 40))]


def init(key):
    return {"hidden": jax.random.normal(key, (3, 4)), "out": jnp.ones(4)}


def predict(params, x):
    return jnp.tanh(x @ params["hidden"]) @ params["out"]


def loss(params, batch):
    return jnp.mean((predict(params, batch["x"]) - batch["y"]) ** 2)


def noisy_loss(params, batch, key):
    noise = 0.0 if key is None else 0.1 * jax.random.normal(key)
    return jnp.mean((predict(params, batch["x"]) - batch["y"] + noise) ** 2)


def far(params, batch):
    return abs(predict(params, batch["x"]) - batch["y"]) > 1


def mean_error(params, batch):
    return abs(predict(params, batch["x"]) - batch["y"]).mean()


def state_loss(params, seen, batch):
    return loss(params, batch), seen + 1


def image_init(key):
    return jax.random.normal(key, (3, 3, 2, 2))


def image_loss(kernel, batch):
    made = lax.conv_general_dilated(
        batch,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return jnp.mean(made**2)


def standardise(train):
    return train["x"].mean(0), train["x"].std(0)


def standardised(fitted, batch):
    mean, std = fitted
    return {**batch, "x": (batch["x"] - mean) / std}


def task(**changes):
    return jf.Task(
        **{"init": init, "loss": loss, "data": {"x": X, "y": Y}, "validation": 0.25, **changes}
    )


def streamed(folder, **changes):
    """The same task, its examples on a disk."""
    stored = {}
    for name, array in {"x": X, "y": Y}.items():
        file = np.memmap(Path(folder) / name, array.dtype, "w+", shape=array.shape)
        file[:] = array
        stored[name] = file
    return task(data=stored, **changes)


def step(state, data, t, key, rate):
    noise = jax.random.normal(jax.random.fold_in(key, t))
    return state - rate * (state - data.mean() + noise), {"loss": state**2, "noise": noise}


def evaluate(state, data):
    return {"distance": abs(state - data.mean())}


def sweep(the_task, optimizer=jf.adam, n=8, **changes):
    rates = jf.grid(learning_rate=np.geomspace(1e-3, 1e-1, n).tolist())
    jf.sweep(
        the_task,
        optimizer,
        rates,
        **{"steps": 6, "eval_every": 3, "batch_size": 8, "progress": False, **changes},
    )


def kinds(folder):
    """Name to a call that runs a sweep of this kind."""
    regularized = task(loss=jf.regularized(loss, l1=1e-3))
    trial = jf.Trial(init=lambda key: jax.random.normal(key), step=step, evaluate=evaluate, data=X)
    return {
        "lanes, width 8": functools.partial(sweep, task()),
        "lanes, width 1": functools.partial(sweep, task(), n=1),
        "keep best": functools.partial(sweep, task(metrics={"far": far}), keep="best", select=BEST),
        "keep none": functools.partial(sweep, task(), keep=None, metric="train_loss"),
        "no validation": functools.partial(sweep, task(validation=None), metric="train_loss"),
        "folds": functools.partial(
            sweep, task(validation=None, metrics={"far": far}), folds=4, n=2
        ),
        "uneven folds": functools.partial(
            sweep, task(validation=None, metrics={"far": far}), folds=UNEVEN, n=4
        ),
        "evaluation batches": functools.partial(
            sweep, task(metrics={"error": mean_error}), eval_batch_size=4
        ),
        "convolution": functools.partial(
            sweep, task(init=image_init, loss=image_loss, data=IMAGES), n=1, batch_size=4
        ),
        "layers": functools.partial(sweep, task(), layers=True),
        "clip": functools.partial(
            sweep,
            task(),
            lambda learning_rate: jf.chain(jf.clip_by_global_norm(1.0), jf.sgd(learning_rate)),
        ),
        "model state": functools.partial(
            sweep,
            task(init=lambda key: (init(key), jnp.zeros(())), loss=state_loss, model_state=True),
        ),
        "noise and penalty": functools.partial(sweep, task(loss=noisy_loss)),
        "regularized": functools.partial(sweep, regularized),
        "prepare": functools.partial(sweep, task(prepare=(standardise, standardised))),
        "divergence threshold": functools.partial(sweep, task(), diverged_above=10.0),
        "trial": lambda: jf.sweep(
            trial,
            space=jf.grid(rate=np.geomspace(1e-3, 1e-1, 8).tolist()),
            steps=6,
            metric="distance",
            mode="min",
            progress=False,
        ),
        "streamed, width 8": functools.partial(sweep, streamed(folder)),
        "streamed, width 1": functools.partial(sweep, streamed(folder), n=1),
        "streamed, keep best": functools.partial(
            sweep, streamed(folder, metrics={"far": far}), keep="best", select=BEST
        ),
        "streamed, uneven folds": functools.partial(
            sweep, streamed(folder, validation=None), folds=UNEVEN, n=4
        ),
        "streamed, no validation": functools.partial(
            sweep, streamed(folder, validation=None), metric="train_loss"
        ),
    }


BEST = "best"


def normalised(text):
    """The text with functions numbered as they come, and results without their names."""
    numbers = {}
    text = RESULT_INFO.sub("", text)
    return SYMBOL.sub(lambda found: f"@f{numbers.setdefault(found[0], len(numbers))}", text)


BESIDE = ("_weights_at", "tried", "of_batch", "score")
"""Programs that are compiled ahead of time, too, and train nothing."""


def programs(run):
    """The texts of what a call compiles ahead of time, sorted: threads compile in any order."""
    texts, compile_as_before = [], jax.stages.Lowered.compile

    def compile_and_note(lowered, *arguments, **options):
        text = lowered.as_text()
        if not any(f"module @jit_{name} " in text for name in BESIDE):
            texts.append(normalised(text))
        return compile_as_before(lowered, *arguments, **options)

    jf.clear_programs()
    jax.stages.Lowered.compile = compile_and_note
    try:
        run()
    finally:
        jax.stages.Lowered.compile = compile_as_before
    assert texts, "nothing was compiled"
    return sorted(texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--write", action="store_true", help="make these the digests to compare with"
    )
    parser.add_argument("--texts", type=Path, help="a folder to write the programs to")
    options = parser.parse_args()

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, run in kinds(folder).items():
            texts = programs(run)
            found[kind] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
            for number, text in enumerate(texts):
                if options.texts is not None:
                    options.texts.mkdir(parents=True, exist_ok=True)
                    (options.texts / f"{kind.replace(' ', '_')}_{number}.mlir").write_text(text)

    known = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    if options.write:
        known[jax.__version__] = found
        DIGESTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        return
    if jax.__version__ not in known:
        sys.exit(f"no digests for jax {jax.__version__}: take some with --write before a change")
    before = known[jax.__version__]
    changed = sorted(kind for kind in {**before, **found} if before.get(kind) != found.get(kind))
    for kind in changed:
        print(f"{kind}: was {before.get(kind)}, is {found.get(kind)}")
    print(f"{len(found) - len(changed)} of {len(found)} kinds of program as before")
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
