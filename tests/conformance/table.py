"""Every transform and schedule with its numbers: a new one is a row here, and the laws run on it.

A number is (value, another valid value, an invalid one); a number whose values are integers is a
count.
"""

import dataclasses
from collections.abc import Callable

import jax
import optax
import optax.contrib

import jefficient as jf


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    factory: Callable
    numbers: dict[str, tuple[float, float, float]]
    needs_params: bool = False
    twin: Callable | None = None  # optax's, with the same arguments

    def __str__(self):
        return self.name

    def values(self, which=0):
        return {name: choices[which] for name, choices in self.numbers.items()}

    def pairs(self):
        return {name: choices[:2] for name, choices in self.numbers.items()}

    def build(self, **overrides):
        return self.factory(**{**self.values(), **overrides})


RATE = (0.1, 0.02, -0.1)
NAN = float("nan")
BETA1, BETA2 = (0.9, 0.5, 1.0), (0.99, 0.9, -0.1)
EPS, EPS_ROOT = (1e-8, 1e-3, -1e-8), (1e-6, 1e-3, NAN)
ADAM = {"b1": BETA1, "b2": BETA2, "eps": EPS, "eps_root": EPS_ROOT}
STRENGTH = (0.1, 0.02, -0.1)


def matrices(tree):
    """Which leaves are matrices."""
    return jax.tree.map(lambda x: x.ndim == 2, tree)


def kinds(tree):
    return jax.tree.map(lambda x: "matrix" if x.ndim == 2 else "vector", tree)


TRANSFORMS = [
    Row("identity", jf.identity, {}, twin=optax.identity),
    Row("scale", jf.scale, {"step_size": (0.5, -2.0, NAN)}, twin=optax.scale),
    Row(
        "scale_by_learning_rate",
        jf.scale_by_learning_rate,
        {"learning_rate": RATE},
        twin=optax.scale_by_learning_rate,
    ),
    Row(
        "scale_by_schedule",
        lambda init_value: jf.scale_by_schedule(jf.exponential_decay(init_value, 3, 0.5)),
        {"init_value": (0.5, 0.1, NAN)},
        twin=lambda init_value: optax.scale_by_schedule(
            optax.exponential_decay(init_value, 3, 0.5)
        ),
    ),
    Row("trace", jf.trace, {"decay": (0.9, 0.5, 1.1)}, twin=optax.trace),
    Row(
        "trace_nesterov",
        lambda decay: jf.trace(decay, nesterov=True),
        {"decay": (0.9, 0.5, -0.1)},
        twin=lambda decay: optax.trace(decay, nesterov=True),
    ),
    Row("scale_by_adam", jf.scale_by_adam, ADAM, twin=optax.scale_by_adam),
    Row(
        "scale_by_adam_nesterov",
        lambda **numbers: jf.scale_by_adam(**numbers, nesterov=True),
        ADAM,
        twin=lambda **numbers: optax.scale_by_adam(**numbers, nesterov=True),
    ),
    Row("l1_decay", jf.l1_decay, {"strength": STRENGTH}, needs_params=True),
    Row(
        "l2_decay_masked",
        lambda strength: jf.l2_decay(strength, matrices),
        {"strength": STRENGTH},
        needs_params=True,
    ),
    Row(
        "l2_decay_initial",
        lambda strength: jf.l2_decay(strength, towards="initial"),
        {"strength": STRENGTH},
        needs_params=True,
    ),
    Row(
        "l2_decay",
        jf.l2_decay,
        {"strength": (0.1, 0.02, NAN)},
        needs_params=True,
        twin=lambda strength: optax.add_decayed_weights(strength),
    ),
    Row("clip", jf.clip, {"max_delta": (0.5, 2.0, 0.0)}, twin=optax.clip),
    Row(
        "clip_by_global_norm",
        jf.clip_by_global_norm,
        {"max_norm": (1.0, 0.1, 0.0)},
        twin=optax.clip_by_global_norm,
    ),
    Row("sgd", jf.sgd, {"learning_rate": RATE}, twin=optax.sgd),
    Row(
        "sgd_momentum", jf.sgd, {"learning_rate": RATE, "momentum": (0.9, 0.5, 1.5)}, twin=optax.sgd
    ),
    Row("adam", jf.adam, {"learning_rate": (0.1, 0.02, NAN), **ADAM}, twin=optax.adam),
    Row(
        "adamw",
        jf.adamw,
        {"learning_rate": RATE, **ADAM, "weight_decay": (0.1, 0.02, -1.0)},
        needs_params=True,
        twin=optax.adamw,
    ),
    Row("nadam", jf.nadam, {"learning_rate": RATE, **ADAM}, twin=optax.nadam),
    Row(
        "nadamw",
        jf.nadamw,
        {"learning_rate": RATE, **ADAM, "weight_decay": STRENGTH},
        needs_params=True,
        twin=optax.nadamw,
    ),
    Row("proximal_l1", jf.proximal_l1, {"strength": STRENGTH}, needs_params=True),
    Row(
        "proximal_elastic_net",
        jf.proximal_elastic_net,
        {"l1": STRENGTH, "l2": STRENGTH},
        needs_params=True,
    ),
    Row(
        "proximal_adam",
        jf.proximal_adam,
        {"learning_rate": RATE, **ADAM, "l1": STRENGTH, "l2": STRENGTH},
        needs_params=True,
    ),
    Row(
        "reduce_on_plateau",
        jf.reduce_on_plateau,
        {
            "factor": (0.5, 0.1, 1.0),
            "patience": (1, 2, 0),
            "rtol": (1e-2, 1e-4, 1.5),
            "atol": (1e-3, 0.1, -1.0),
            "cooldown": (0, 1, -1),
            "accumulation_size": (1, 2, 0),
            "min_scale": (0.1, 0.3, 2.0),
        },
        twin=optax.contrib.reduce_on_plateau,
    ),
    Row(
        "chain",
        lambda learning_rate, strength: jf.chain(
            jf.l2_decay(strength), optax.clip(0.9), jf.sgd(learning_rate)
        ),
        {"learning_rate": RATE, "strength": STRENGTH},
        needs_params=True,
    ),
    Row(
        "named_chain",
        lambda learning_rate, strength: jf.named_chain(
            ("decay", jf.l2_decay(strength)), ("step", jf.sgd(learning_rate))
        ),
        {"learning_rate": RATE, "strength": STRENGTH},
        needs_params=True,
        twin=lambda learning_rate, strength: optax.chain(
            optax.add_decayed_weights(strength), optax.sgd(learning_rate)
        ),
    ),
    Row(
        "masked",
        lambda learning_rate: jf.masked(jf.sgd(learning_rate, momentum=0.9), matrices),
        {"learning_rate": RATE},
        twin=lambda learning_rate: optax.masked(optax.sgd(learning_rate, momentum=0.9), matrices),
    ),
    Row(
        "scale_by_name",
        lambda step_sizes: jf.scale_by_name([""], [step_sizes]),
        {"step_sizes": (0.5, -2.0, NAN)},
        twin=lambda step_sizes: optax.scale(step_sizes),
    ),
    Row(
        "partition",
        lambda fast, slow: jf.partition({"matrix": jf.adam(fast), "vector": jf.scale(slow)}, kinds),
        {"fast": (0.1, 0.02, None), "slow": (-0.1, -0.02, None)},
        twin=lambda fast, slow: optax.partition(
            {"matrix": optax.adam(fast), "vector": optax.scale(slow)}, kinds
        ),
    ),
    Row(
        "flatten",
        lambda learning_rate, max_norm: jf.flatten(
            jf.chain(jf.clip_by_global_norm(max_norm), jf.sgd(learning_rate, momentum=0.9))
        ),
        {"learning_rate": RATE, "max_norm": (1.0, 0.1, 0.0)},
        twin=lambda learning_rate, max_norm: optax.chain(
            optax.clip_by_global_norm(max_norm), optax.sgd(learning_rate, momentum=0.9)
        ),
    ),
    Row(
        "apply_if_finite",
        lambda learning_rate, max_consecutive_errors: jf.apply_if_finite(
            jf.sgd(learning_rate, momentum=0.9), max_consecutive_errors
        ),
        {"learning_rate": RATE, "max_consecutive_errors": (2, 0, -1)},
        twin=lambda learning_rate, max_consecutive_errors: optax.apply_if_finite(
            optax.sgd(learning_rate, momentum=0.9), max_consecutive_errors
        ),
    ),
    Row(
        "accumulate",
        lambda learning_rate, every_k: jf.accumulate(jf.sgd(learning_rate, momentum=0.9), every_k),
        {"learning_rate": RATE, "every_k": (2, 3, 0)},
        twin=lambda learning_rate, every_k: optax.MultiSteps(
            optax.sgd(learning_rate, momentum=0.9), every_k
        ).gradient_transformation(),
    ),
    *(
        Row(
            f"hypergradient_descent_{rule}",
            lambda momentum, rule=rule, **numbers: jf.hypergradient_descent(
                jf.sgd(1.0, momentum), rule=rule, **numbers
            ),
            {
                "momentum": (0.9, 0.5, 1.5),
                "learning_rate": RATE,
                "hyper_learning_rate": (0.01, 0.002, NAN),
            },
        )
        for rule in ("additive", "multiplicative")
    ),
    Row(
        "prune",
        lambda learning_rate, **numbers: jf.prune(
            jf.sgd(learning_rate, momentum=0.9), scope="layer", mask=matrices, **numbers
        ),
        {
            "learning_rate": RATE,
            "sparsity": (0.5, 0.25, 1.5),
            "begin": (1, 0, -1),
            "end": (4, 3, -2),
            "every": (2, 1, 0),
        },
        needs_params=True,
    ),
    Row(
        "prune_rigl",
        lambda learning_rate, **numbers: jf.prune(
            jf.adam(learning_rate), method="rigl", end=5, **numbers
        ),
        {
            "learning_rate": RATE,
            "sparsity": (0.5, 0.25, NAN),
            "every": (2, 3, 1),
            "drop_fraction": (0.7, 0.4, -0.1),
            "seed": (0, 1, -1),
        },
        needs_params=True,
    ),
    Row(
        "prune_straight_through",
        lambda learning_rate, sparsity: jf.prune(
            jf.sgd(learning_rate, momentum=0.9), sparsity, scope="layer", ste=True
        ),
        {"learning_rate": RATE, "sparsity": (0.5, 0.25, NAN)},
        needs_params=True,
    ),
    Row("keep_zeros", jf.keep_zeros, {}, needs_params=True),
    Row(
        "average_weights",
        lambda learning_rate, decay: jf.average_weights(jf.sgd(learning_rate, momentum=0.9), decay),
        {"learning_rate": RATE, "decay": (0.9, 0.5, 1.0)},
        needs_params=True,
        twin=lambda learning_rate, decay: optax.sgd(learning_rate, momentum=0.9),
    ),
]

VALUE = (0.5, 0.1, NAN)
STEPS, BEGIN = (10, 7, 0), (3, 5, -1)

SCHEDULES = [
    Row("constant_schedule", jf.constant_schedule, {"value": VALUE}, twin=optax.constant_schedule),
    *(
        Row(
            f"exponential_decay{'_staircase' if staircase else ''}",
            lambda staircase=staircase, **numbers: jf.exponential_decay(
                **numbers, staircase=staircase
            ),
            {
                "init_value": VALUE,
                "transition_steps": STEPS,
                "decay_rate": (0.7, 0.9, 0.0),
                "transition_begin": BEGIN,
                "end_value": (0.05, 0.2, NAN),
            },
            twin=lambda staircase=staircase, **numbers: optax.exponential_decay(
                **numbers, staircase=staircase
            ),
        )
        for staircase in (False, True)
    ),
    *(
        Row(
            f"inverse_time_decay{'_staircase' if staircase else ''}",
            lambda staircase=staircase, **numbers: jf.inverse_time_decay(
                **numbers, staircase=staircase
            ),
            {
                "init_value": VALUE,
                "transition_steps": STEPS,
                "decay_rate": (0.7, 2.0, -0.1),
                "transition_begin": BEGIN,
                "end_value": (0.05, 0.2, NAN),
            },
        )
        for staircase in (False, True)
    ),
    Row(
        "cosine_decay_schedule",
        jf.cosine_decay_schedule,
        {
            "init_value": VALUE,
            "decay_steps": (20, 13, 0),
            "alpha": (0.1, 0.5, NAN),
            "exponent": (1.0, 2.5, 0.0),
        },
        twin=optax.cosine_decay_schedule,
    ),
    Row(
        "warmup_cosine_decay_schedule",
        jf.warmup_cosine_decay_schedule,
        {
            "init_value": (0.1, 0.0, NAN),
            "peak_value": (1.0, 0.3, float("inf")),
            "warmup_steps": (5, 8, -1),
            "decay_steps": (20, 25, 5),
            "end_value": (0.05, 0.0, NAN),
            "exponent": (1.0, 2.0, -1.0),
        },
        twin=optax.warmup_cosine_decay_schedule,
    ),
    Row(
        "polynomial_schedule",
        jf.polynomial_schedule,
        {
            "init_value": VALUE,
            "end_value": (0.05, 1.0, NAN),
            "power": (2.5, 1.0, 0.0),
            "transition_steps": STEPS,
            "transition_begin": BEGIN,
        },
        twin=optax.polynomial_schedule,
    ),
    Row(
        "linear_schedule",
        jf.linear_schedule,
        {
            "init_value": VALUE,
            "end_value": (0.05, 1.0, NAN),
            "transition_steps": STEPS,
            "transition_begin": BEGIN,
        },
        twin=optax.linear_schedule,
    ),
    Row(
        "piecewise_constant_schedule",
        lambda init_value, first, second, scales: jf.piecewise_constant_schedule(
            init_value, ([first, second], [scales, 0.5])
        ),
        {
            "init_value": VALUE,
            "first": (5, 9, None),
            "second": (17, 11, None),
            "scales": (0.3, 2.0, -1.0),
        },
        twin=lambda init_value, first, second, scales: optax.piecewise_constant_schedule(
            init_value, {first: scales, second: 0.5}
        ),
    ),
    Row(
        "join_schedules",
        lambda peak, boundaries: jf.join_schedules(
            [
                jf.linear_schedule(0.0, peak, 10),
                jf.constant_schedule(0.3),
                jf.rsqrt_schedule(0.2, 5),
            ],
            [boundaries, 20],
        ),
        {"peak": (1.0, 0.3, None), "boundaries": (7, 12, -1)},
    ),
    Row(
        "interpolated_schedule",
        lambda knots, values: jf.interpolated_schedule([3, knots, 31], [0.1, values, 0.02]),
        {"knots": (7, 12, -1), "values": (0.5, 0.01, 0.0)},
    ),
    Row(
        "interpolated_schedule_linear",
        lambda knots, values: jf.interpolated_schedule(
            [0, knots, 31], [0.1, values, 0.02], log=False
        ),
        {"knots": (7, 12, -1), "values": (0.5, -0.01, NAN)},
        twin=lambda knots, values: optax.piecewise_interpolate_schedule(
            "linear", 0.1, {knots: values / 0.1, 31: 0.02 / values}
        ),
    ),
    Row(
        "warmup_constant_schedule",
        jf.warmup_constant_schedule,
        {"init_value": (0.1, 0.0, NAN), "peak_value": (1.0, 0.3, NAN), "warmup_steps": (5, 8, -1)},
        twin=optax.warmup_constant_schedule,
    ),
    Row(
        "warmup_stable_decay_schedule",
        jf.warmup_stable_decay_schedule,
        {
            "init_value": (0.1, 0.0, NAN),
            "peak_value": (1.0, 0.3, NAN),
            "warmup_steps": (5, 8, -1),
            "stable_steps": (7, 0, -1),
            "decay_steps": (20, 10, 0),
            "end_value": (0.05, 0.0, NAN),
            "power": (0.5, 1.0, 0.0),
        },
    ),
    Row(
        "cosine_onecycle_schedule",
        jf.cosine_onecycle_schedule,
        {
            "transition_steps": (31, 20, 0),
            "peak_value": (1.0, 0.3, NAN),
            "pct_start": (0.35, 0.5, 1.0),
            "div_factor": (25.0, 10.0, 0.0),
            "final_div_factor": (1e4, 1e2, -1.0),
        },
        twin=optax.cosine_onecycle_schedule,
    ),
    Row(
        "sgdr_schedule",
        lambda peak_value, warmup_steps, decay_steps: jf.sgdr_schedule(
            [
                {
                    "init_value": 0.1,
                    "peak_value": peak_value,
                    "warmup_steps": warmup_steps,
                    "decay_steps": decay_steps,
                },
                {"init_value": 0.0, "peak_value": 0.5, "warmup_steps": 2, "decay_steps": 11},
            ]
        ),
        {"peak_value": (1.0, 0.3, NAN), "warmup_steps": (5, 8, -1), "decay_steps": (16, 20, 5)},
        twin=lambda peak_value, warmup_steps, decay_steps: optax.sgdr_schedule(
            [
                {
                    "init_value": 0.1,
                    "peak_value": peak_value,
                    "warmup_steps": warmup_steps,
                    "decay_steps": decay_steps,
                },
                {"init_value": 0.0, "peak_value": 0.5, "warmup_steps": 2, "decay_steps": 11},
            ]
        ),
    ),
    Row("rsqrt_schedule", jf.rsqrt_schedule, {"init_value": VALUE, "shift": (10, 4, 0)}),
]


def cases(rows):
    """(row, number) pairs, and their test ids."""
    pairs = [(row, number) for row in rows for number in row.numbers]
    return {"argvalues": pairs, "ids": [f"{row}-{number}" for row, number in pairs]}
