"""Every transform and schedule with its numbers: a new one is a row here, and the laws run on it.

A number is (value, another valid value, an invalid one).
"""

import dataclasses
from collections.abc import Callable

import optax

import jefficient as jf


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    factory: Callable
    numbers: dict[str, tuple[float, float, float]]
    needs_params: bool = False
    twin: Callable | None = None  # optax's, with the same arguments
    lengths: tuple[str, ...] = ()  # numbers that are counts of steps, and stay integers

    def __str__(self):
        return self.name

    def values(self, which=0):
        return {name: choices[which] for name, choices in self.numbers.items()}

    def build(self, **overrides):
        return self.factory(**{**self.values(), **overrides})


RATE = (0.1, 0.02, -0.1)
NAN = float("nan")
BETA1, BETA2 = (0.9, 0.5, 1.0), (0.99, 0.9, -0.1)
EPS, EPS_ROOT = (1e-8, 1e-3, -1e-8), (1e-6, 1e-3, NAN)
ADAM = {"b1": BETA1, "b2": BETA2, "eps": EPS, "eps_root": EPS_ROOT}

TRANSFORMS = [
    Row("identity", jf.identity, {}, twin=optax.identity),
    Row("scale", jf.scale, {"step_size": (0.5, -2.0, NAN)}, twin=optax.scale),
    Row(
        "scale_by_learning_rate", jf.scale_by_learning_rate, {"learning_rate": RATE}, twin=optax.scale_by_learning_rate
    ),
    Row(
        "scale_by_schedule",
        lambda init_value: jf.scale_by_schedule(jf.exponential_decay(init_value, 3, 0.5)),
        {"init_value": (0.5, 0.1, NAN)},
        twin=lambda init_value: optax.scale_by_schedule(optax.exponential_decay(init_value, 3, 0.5)),
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
    Row("l1_decay", jf.l1_decay, {"strength": (0.1, 0.02, -0.1)}, needs_params=True),
    Row(
        "l2_decay",
        jf.l2_decay,
        {"strength": (0.1, 0.02, NAN)},
        needs_params=True,
        twin=lambda strength: optax.add_decayed_weights(strength),
    ),
    Row("clip_by_global_norm", jf.clip_by_global_norm, {"max_norm": (1.0, 0.1, 0.0)}, twin=optax.clip_by_global_norm),
    Row("sgd", jf.sgd, {"learning_rate": RATE}, twin=optax.sgd),
    Row("sgd_momentum", jf.sgd, {"learning_rate": RATE, "momentum": (0.9, 0.5, 1.5)}, twin=optax.sgd),
    Row("adam", jf.adam, {"learning_rate": (0.1, 0.02, NAN), **ADAM}, twin=optax.adam),
    Row(
        "adamw",
        jf.adamw,
        {"learning_rate": RATE, **ADAM, "weight_decay": (0.1, 0.02, -1.0)},
        needs_params=True,
        twin=optax.adamw,
    ),
    Row(
        "chain",
        lambda learning_rate, strength: jf.chain(jf.l2_decay(strength), optax.clip(0.9), jf.sgd(learning_rate)),
        {"learning_rate": RATE, "strength": (0.1, 0.02, -0.1)},
        needs_params=True,
    ),
]

VALUE = (0.5, 0.1, NAN)
STEPS, BEGIN = (10, 7, 0), (3, 5, -1)

SCHEDULES = [
    Row("constant_schedule", jf.constant_schedule, {"value": VALUE}, twin=optax.constant_schedule),
    *(
        Row(
            f"exponential_decay{'_staircase' if staircase else ''}",
            lambda staircase=staircase, **numbers: jf.exponential_decay(**numbers, staircase=staircase),
            {
                "init_value": VALUE,
                "transition_steps": STEPS,
                "decay_rate": (0.7, 0.9, 0.0),
                "transition_begin": BEGIN,
                "end_value": (0.05, 0.2, NAN),
            },
            twin=lambda staircase=staircase, **numbers: optax.exponential_decay(**numbers, staircase=staircase),
            lengths=("transition_steps", "transition_begin"),
        )
        for staircase in (False, True)
    ),
    *(
        Row(
            f"inverse_time_decay{'_staircase' if staircase else ''}",
            lambda staircase=staircase, **numbers: jf.inverse_time_decay(**numbers, staircase=staircase),
            {
                "init_value": VALUE,
                "transition_steps": STEPS,
                "decay_rate": (0.7, 2.0, -0.1),
                "transition_begin": BEGIN,
                "end_value": (0.05, 0.2, NAN),
            },
            lengths=("transition_steps", "transition_begin"),
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
        lengths=("decay_steps",),
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
        lengths=("warmup_steps", "decay_steps"),
    ),
]


def cases(rows):
    """(row, number) pairs, and their test ids."""
    pairs = [(row, number) for row in rows for number in row.numbers]
    return {"argvalues": pairs, "ids": [f"{row}-{number}" for row, number in pairs]}
