"""What of optax can be traced, and where half precision ends in NaN: the table of docs/optax.md.

    python tests/optax_page.py

measures every optimizer of the installed optax and optax.contrib with `jefficient.testing`, and
writes its table into the page. It takes minutes; `tests/interchange/test_optax_page.py` measures a
few rows again.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # compiling is slow

import jax
import jax.numpy as jnp
import optax
import optax.contrib

import jefficient as jf
from jefficient.testing import LawError, verify_transform
from jefficient.testing._law import traceable
from jefficient.testing._transform_laws import trajectory

PAGE = Path(__file__).parents[1] / "docs" / "optax.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"

# Two valid values of each number, as of all functions that have it; whole ones are counts.
RATE = (0.1, 0.02)
SHARE = (0.9, 0.8)
SMALL = (1e-6, 1e-4)
NUMBERS = {
    **dict.fromkeys(("learning_rate", "max_learning_rate", "adam_learning_rate"), RATE),
    **dict.fromkeys(("weight_decay", "adam_weight_decay", "weight_decay_rate"), RATE),
    **dict.fromkeys(("b1", "b3", "beta", "beta3", "adam_b1", "momentum", "rho", "decay"), SHARE),
    **dict.fromkeys(("b2", "adam_b2", "betas"), (0.99, 0.95)),
    **dict.fromkeys(("eps", "eps_root", "adam_eps_root", "min_norm", "min_step_size"), SMALL),
    **dict.fromkeys(("estim_lr0", "s_init", "init_step"), SMALL),
    **dict.fromkeys(("initial_accumulator_value", "initial_scale", "lower_bound"), RATE),
    **dict.fromkeys(("f_min", "optimism", "eta", "noise_multiplier", "consistent_rms"), RATE),
    **dict.fromkeys(("init_estim_sq_dist", "trust_coefficient"), RATE),
    **dict.fromkeys(("alpha", "decay_rate", "gamma", "eta_minus"), (0.7, 0.5)),
    **dict.fromkeys(("clipping_threshold", "clip_threshold", "scaling", "scale"), (1.0, 0.5)),
    **dict.fromkeys(("l2_norm_clip", "estim_lr_coef", "max_step_size"), (1.0, 0.5)),
    "eta_plus": (1.2, 1.1),
    "ns_coeffs": (3.4445, 3.0),
    "threshold": (5.0, 4.5),
    "weight_lr_power": (2.0, 1.0),
    **dict.fromkeys(("ns_steps", "num_betas", "memory_size"), (5, 3)),
    **dict.fromkeys(("warmup_steps", "update_interval", "update_proj_gap"), (2, 3)),
    **dict.fromkeys(("rank", "seed"), (1, 2)),
    "decay_offset": (-1, -2),
    "min_dim_size_to_factor": (128, 2),
}
# Numbers within tuples, of which the given one is tried.
TUPLES = {
    "betas": lambda b2: (0.9, b2),
    "ns_coeffs": lambda a: (a, -4.775, 2.0315),
    "init_step": lambda x: ("heuristic", x),
}
HANDED = {"lbfgs": ("value", "grad", "value_fn"), "sophia": ("obj_fn",)}
NO_NUMBERS = {"print_win_rate_every_n_steps"}
RTOL = 1e-4


class Row(NamedTuple):
    """What was measured of an optimizer.

    Attributes:
        name: its name, with `contrib.` in front.
        traced: numbers that can be traced.
        static: those that cannot, with what was raised or differed.
        in_bfloat16: which of the traced can be with bfloat16 parameters.
        float16, bfloat16: whether two updates of zero gradients are finite.
    """

    name: str
    traced: tuple[str, ...]
    static: dict[str, str]
    in_bfloat16: str
    float16: str
    bfloat16: str


def optimizers() -> dict[str, Callable]:
    """Return the public functions of optax and optax.contrib that make whole optimizers.

    They are those that take a learning rate and are no `scale_by_…`, and `mechanize`.
    """
    found = {}
    for module, prefix in ((optax, ""), (optax.contrib, "contrib.")):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            names = inspect.signature(function).parameters
            has_rate = any(x.endswith("learning_rate") for x in names) or name == "mechanize"
            if has_rate and not name.startswith(("_", "scale_by_")):
                found[prefix + name] = function
    return found


def numbers_of(function: Callable) -> dict[str, tuple[float, float]]:
    """Return the numbers of a function with two values; refuse a number without values here."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        is_number = type(parameter.default) in (int, float) and name not in NO_NUMBERS
        assert name in NUMBERS or not is_number, f"NUMBERS needs values of {name}"
        if name in NUMBERS:
            found[name] = NUMBERS[name]
    return found


def made(function: Callable, numbers: dict) -> optax.GradientTransformationExtraArgs:
    """Build an optimizer, and hand it the loss as it asks for it."""
    arguments = {k: TUPLES[k](x) if k in TUPLES else x for k, x in numbers.items()}
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if name in arguments or parameter.default is not inspect.Parameter.empty:
            continue
        arguments[name] = optax.sgd(0.1) if name == "base_optimizer" else NUMBERS[name][0]
    if {"seed", "key"} <= set(parameters):
        arguments.setdefault("seed", 0)
    tx = optax.with_extra_args_support(function(**arguments))

    def update(g, state, params=None, value=None, **_):
        def loss(p):
            parts = jax.tree.map(lambda p, g, at: jnp.sum(g * (p - at)), p, g, params)
            return sum(jax.tree.leaves(parts), start=jnp.asarray(value, jnp.float32))

        given = {"value": value, "grad": g, "value_fn": loss, "obj_fn": loss}
        given = {name: given[name] for name in HANDED.get(function.__name__, ("value",))}
        if function is optax.contrib.dpsgd:
            g = jax.tree.map(lambda x: x[None], g)  # one gradient for each example
        return tx.update(g, state, params, **given)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def measured(name: str, function: Callable) -> Row:
    """Measure an optimizer."""
    numbers = numbers_of(function)
    static = {}
    if why_not(function, numbers):  # one by one: which?
        for number, pair in numbers.items():
            reason = why_not(function, {number: pair})
            if reason:
                static[number] = reason
    traced = tuple(x for x in numbers if x not in static)
    in_bfloat16 = "as traced"
    if not runs_in_bfloat16(function, {}):
        in_bfloat16 = "does not run"
    elif broken := [x for x in traced if not runs_in_bfloat16(function, {x: numbers[x]})]:
        in_bfloat16 = f"without {', '.join(f'`{x}`' for x in broken)}"
    half = (at_zero(function, dtype) for dtype in ("float16", "bfloat16"))
    return Row(name, traced, static, in_bfloat16, *half)


def why_not(function: Callable, numbers: dict[str, tuple[float, float]]) -> str:
    """Return why these numbers cannot be traced, empty if they can."""
    try:
        verify_transform(
            lambda **values: made(function, values), numbers, laws=["traced"], rtol=RTOL
        )
    except LawError as error:
        raised = re.search(r"It raised (\w+)", str(error))
        return raised[1] if raised else "another result"
    return ""


def runs_in_bfloat16(function: Callable, numbers: dict[str, tuple[float, float]]) -> bool:
    """Tell whether updates of bfloat16 parameters can be scanned, these numbers being traced."""
    params = params_of("bfloat16")
    try:
        jax.eval_shape(lambda x: trajectory(made(function, x), params), traceable(numbers))
    except TypeError:  # of scan or cond: a state has another dtype afterwards
        return False
    return True


def params_of(dtype: str) -> dict[str, jax.Array]:
    """Return the parameters of `verify_transform` in a dtype."""
    return {
        "a": jnp.array([[0.5, -1.0, 0.25], [2.0, 0.1, -0.3]], dtype),
        "b": jnp.array([1.5, -0.75], dtype),
    }


def at_zero(function: Callable, dtype: str) -> str:
    """Say what two updates of zero gradients are in a dtype, and which eps mends a NaN."""
    if is_finite_at_zero(function, dtype, {}):
        return "finite"
    if "eps" in inspect.signature(function).parameters:
        for eps in (1e-7, 1e-6, 1e-5, 1e-4):
            if is_finite_at_zero(function, dtype, {"eps": eps}):
                return f"NaN; finite with eps={eps:.0e}".replace("e-0", "e-")
    return "NaN"


def is_finite_at_zero(function: Callable, dtype: str, numbers: dict) -> bool:
    """Tell whether two updates of zero gradients are finite, with defaults otherwise."""
    params = params_of(dtype)
    zeros = jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def updates():
        tx = made(function, numbers)
        first, state = tx.update(zeros, tx.init(params), params, value=jnp.float32(1))
        second, _ = tx.update(zeros, state, params, value=jnp.float32(1))
        return first, second

    return all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(updates()))


def lines(row: Row) -> Iterator[str]:
    """Write the row of the table."""
    static = [f"`{name}` ({why})" for name, why in row.static.items()]
    ours = row.name if hasattr(jf, row.name) else ""
    yield " | ".join(
        [
            f"| `{row.name}`",
            ", ".join(f"`{x}`" for x in row.traced) or "none",
            ", ".join(static),
            row.in_bfloat16,
            row.float16,
            row.bfloat16,
            f"[`jf.{ours}`](api/transforms.md#jefficient.{ours}) |" if ours else "|",
        ]
    )


def main() -> None:
    """Measure all and write the page."""
    rows = []
    for name, function in optimizers().items():
        rows.append(measured(name, function))
        print(rows[-1], flush=True)
    tried = sum(len(row.traced) + len(row.static) for row in rows)
    bad = {x: sum(getattr(row, x) != "finite" for row in rows) for x in ("float16", "bfloat16")}
    table = [
        f"optax {optax.__version__}, jax {jax.__version__}: {len(rows)} optimizers with {tried} "
        f"numbers, of which {sum(len(row.traced) for row in rows)} can be traced. Updates of zero "
        f"gradients are NaN in {bad['float16']} of them in float16, in {bad['bfloat16']} in "
        "bfloat16.\n",
        "| optimizer | can be traced | cannot | with bfloat16 parameters | zeros in float16 | "
        "zeros in bfloat16 | in jefficient |",
        "|---|---|---|---|---|---|---|",
        *(line for row in rows for line in lines(row)),
    ]
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n".join(table) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
