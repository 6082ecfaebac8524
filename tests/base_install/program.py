"""What runs in a base install: transforms, sweeps, the command line, the errors of extras."""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf

OPTIONAL = (
    *("matplotlib", "jinja2", "safetensors", "cloudpickle", "flax", "equinox", "optuna", "chex"),
    *("hypothesis", "pytest", "sklearn", "playwright", "psycopg", "distributed", "mpi4py"),
    *("submitit", "mkdocs", "tensorboard", "mlflow", "wandb"),
)
FOR_DEVELOPERS = {"browser", "postgres", "clusters", "loggers", "docs", "dev"}
"""Extras that no public function needs."""

X = np.linspace(-1, 1, 40, dtype=np.float32)
TASK = jf.Task(
    init=lambda key: {"w": jax.random.normal(key)},
    loss=jf.regularized(
        lambda params, batch: ((batch["x"] * params["w"] - batch["y"]) ** 2).mean()
    ),
    data={"x": X, "y": 3 * X},
    metrics={"far": lambda params, batch: abs(batch["x"] * params["w"] - batch["y"]) > 0.5},
    validation=0.2,
)
SPACE = jf.grid(learning_rate=[1e-3, 1e-2, 1e-1, 1e30], l2=[0.0, 1e-3])


def sweep(**changes):
    settings = {"steps": 60, "seeds": 2, "eval_every": 20, "progress": False, **changes}
    return jf.sweep(TASK, jf.adam, SPACE, **settings)


def transforms():
    """Train one and sixteen steps of several transforms and a schedule."""

    def strategy(peak):
        rate = jf.warmup_cosine_decay_schedule(0.0, peak, warmup_steps=5, decay_steps=50)
        return jf.chain(jf.clip_by_global_norm(1.0), jf.l2_decay(1e-4), jf.adam(rate))

    def loss(params, batch):
        return jnp.sum((params - batch) ** 2)

    step = jf.train_step(loss, strategy(0.3))
    state = step.init(jnp.zeros(3))
    update = jax.jit(step.update)
    for _ in range(50):
        state, metrics = update(state, jnp.ones(3))
    assert metrics["loss"] < 0.1, metrics
    lanes = jf.vectorize(
        lambda peak: jf.train_step(loss, strategy(peak)), {"peak": jnp.geomspace(1e-3, 1.0, 16)}
    )
    state, metrics = jax.jit(lanes.update)(lanes.init(jnp.zeros(3)), jnp.ones(3))
    assert metrics["loss"].shape == (16,)


def sweeps():
    """Run a sweep with a progress bar and a directory; read its table, checks and file."""
    result = sweep(directory="kept", stop=jf.successive_halving(eta=2, min_steps=20), progress=True)
    best = result.best()
    assert best.hyperparameters["learning_rate"] == 1e-1
    assert len(result.table()) == 8
    assert result.table()["diverged"].max() > 0
    assert str(result)
    assert str(result.checks())
    assert len(result.ties())
    loaded = jf.load(result.save("result.nc"))
    assert loaded.table().equals(result.table())
    assert jf.load("kept").best().config == best.config
    settings = {"steps": 60, "seeds": 2, "eval_every": 20, "progress": False}
    joined = result + jf.sweep(TASK, jf.sgd, SPACE, **settings)
    assert jf.load(joined.save("joined.nc")).table().equals(joined.table())
    assert jax.tree.map(np.shape, result.params()) == {"w": ()}
    assert result.refit().params["w"].shape == ()
    assert jf.plan(TASK, jf.adam, SPACE, steps=60).programs


def command(*arguments):
    from jefficient.cli import main

    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = main(list(arguments))
    return code, out.getvalue() + err.getvalue()


def command_line():
    """Show a result."""
    sweep().save("result.nc")
    for arguments in (["info"], ["show", "result.nc"]):
        code, text = command(*arguments)
        assert code == 0, text


def calls_of(result):
    """Return for each extra the calls that need it."""

    def plot(name, *arguments):
        return lambda: getattr(result.plot, name)(*arguments)

    def net(*args, **kwargs):
        raise AssertionError("never called")

    about = {"loss": lambda logits, batch: logits.mean(), "data": {"x": X, "y": X}}
    plots = [
        plot("values", "learning_rate"),
        plot("curves"),
        plot("heatmap", "learning_rate", "l2"),
        plot("spread"),
    ]
    plots += [plot("progress"), lambda: result.report("report.html")]
    make = jf.integrations
    return {
        "plot": [*plots, by_command("report", "result.nc")],
        "safetensors": [
            lambda: result.save_params("weights.safetensors"),
            lambda: jf.load_params("weights.safetensors"),
        ],
        "executors": [lambda: sweep(executor=ThreadPoolExecutor(1))],
        "flax": [
            lambda: make.nnx_task(net, **about),
            lambda: make.nnx_model(net, ({}, {})),
            lambda: make.linen_task(net, **about),
        ],
        "equinox": [
            lambda: make.equinox_task(net, **about),
            lambda: make.equinox_model(net, ({}, {})),
        ],
        "optuna": [lambda: jf.optuna(None, 4, rate=jf.Uniform(0.0, 1.0)), result.to_study],
        "tensorboard": [jf.tensorboard],
        "mlflow": [jf.mlflow],
        "wandb": [jf.wandb],
        "test": [
            lambda: jf.testing.verify_transform(jf.sgd),
            lambda: importlib.import_module("jefficient.testing"),
        ],
        "all": [by_command("demo")],
    }


def by_command(*arguments):
    """Make a call of a command, which raises what the command printed if it fails."""

    def call():
        code, text = command(*arguments)
        assert "Traceback" not in text, text
        if code:
            raise jf.JefficientError(text)

    return call


def extras():
    """Check that every extra has calls, and that their errors name it."""
    result = sweep()
    result.save("result.nc")
    found = calls_of(result)
    declared = set(importlib.metadata.metadata("jefficient").get_all("Provides-Extra") or ())
    assert set(found) == declared - FOR_DEVELOPERS, declared
    for extra, calls in found.items():
        for number, call in enumerate(calls):
            said = refused(call)
            assert f"jefficient[{extra}]" in said, f"{extra}, call {number}: {said}"


def refused(call):
    """Return the message of the call's JefficientError; other errors pass through."""
    try:
        call()
    except jf.JefficientError as error:
        return str(error)
    return "nothing was missed"


if __name__ == "__main__":
    found = [name for name in OPTIONAL if importlib.util.find_spec(name)]
    assert not found, f"this is no base install: {found}"
    for part in (transforms, sweeps, command_line, extras):
        part()
        print(f"{part.__name__}: done")
