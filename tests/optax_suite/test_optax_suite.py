"""optax's own tests, shipped in its wheel, pass with jefficient's functions in their place.

`standin.py` says what is replaced. Each module of optax's tests runs in a process of its own, under
optax's settings (the promotion of dtypes is not strict there), but a warning that our code causes
is an error, as everywhere. Cases that call nothing of ours are left out: what happens in them is
optax's alone.

The tables are those of optax 0.2.8. Where its tests are missing or renamed these tests fail, and
never skip.
"""

import fnmatch
import inspect
import json
import os
from pathlib import Path
from typing import NamedTuple

import processes
import pytest
from optax_suite import standin

import jefficient as jf

# the optimizers that both libraries have; their cases in tests of several optimizers
OPTIMIZERS = "adam adamw nadam nadamw sgd"
OURS = f"opt_name='({'|'.join([*OPTIMIZERS.split(), 'sgd_mom'])})'"


class Module(NamedTuple):
    """The functions of ours that cases call, and a regular expression that selects the cases."""

    uses: str
    select: str = ""


# the slowest first
MODULES = {
    # of the cases for several optimizers ours alone; LBFGSTest holds nothing of ours
    "optax._src.alias_test": Module(f"{OPTIMIZERS} apply_updates", select=rf"AliasTest::.*{OURS}"),
    # without test_multi_steps_mixed_precision, half a minute a case: tests/interchange compares
    # optax.MultiSteps
    "optax.transforms._accumulation_test": Module(
        "apply_updates chain scale scale_by_adam sgd", select="(?!.*mixed_precision)"
    ),
    # of the cases for several optimizers ours alone
    "optax.schedules._schedule_test": Module(
        f"{OPTIMIZERS} apply_updates constant_schedule cosine_decay_schedule "
        "cosine_onecycle_schedule exponential_decay piecewise_constant_schedule "
        "polynomial_schedule sgdr_schedule warmup_cosine_decay_schedule",
        select=rf"(?!ScheduleAsLearningRateTest)|.*{OURS}",
    ),
    "optax.schedules._inject_test": Module(
        "clip_by_global_norm linear_schedule masked piecewise_constant_schedule scale "
        "scale_by_adam trace"
    ),
    "optax._src.transform_test": Module("apply_updates chain scale scale_by_adam sgd trace"),
    "optax._src.float64_test": Module(
        "adam adamw apply_updates clip clip_by_global_norm identity scale scale_by_adam "
        "scale_by_schedule sgd trace"
    ),
    "optax.transforms._clipping_test": Module("clip clip_by_global_norm"),
    "optax.transforms._conditionality_test": Module(
        "apply_if_finite apply_updates chain scale sgd"
    ),
    "optax.transforms._masking_test": Module("apply_updates masked sgd"),
    "optax.transforms._combining_test": Module(
        "adam apply_updates chain named_chain partition scale scale_by_adam sgd trace"
    ),
    "optax.contrib._reduce_on_plateau_test": Module("reduce_on_plateau"),
    "optax._src.update_test": Module("apply_updates"),
    "optax.transforms._layouts_test": Module("apply_updates flatten sgd"),
    "optax.schedules._join_test": Module("constant_schedule join_schedules"),
}

# both libraries have them, and no selected case calls them
UNCALLED = {"scale_by_learning_rate", "warmup_constant_schedule"}

STATE = "a state that init did not return is refused, even if nothing is read from it, unlike optax"
STEPS = "a length of no steps is refused, where optax logs it and returns a constant"

# module::Class::case, a pattern: what its failure says, and why it is to fail
EXCEPTIONS = {
    "optax._src.alias_test::AliasTest::test_explicit_dtype*'complex64', state_dtype='[bf]*": (
        "the accumulator of complex parameters must be complex",
        "a real dtype for a complex average is refused: it would drop imaginary parts",
    ),
    "optax._src.transform_test::TransformTest::test_scale": ("jf.scale: state must be", STATE),
    "optax._src.transform_test::TransformTest::test_rms_match_adam": (
        "Not equal to tolerance rtol=1e-06, atol=0",
        "optax's scale_by_rms forms 1 - b2ᵗ with few digits: 7e-6 off float64, ours 1e-7",
    ),
    "optax._src.update_test::UpdateTest::test_none_argument_apply_updates": (
        "jf.apply_updates: updates and parameters must match",
        "an update for a parameter that is None is refused, as trees that differ; both may be None",
    ),
    "optax.schedules._schedule_test::PolynomialTest::test_zero_steps_schedule": (
        "0 < transition_steps < inf",
        STEPS,
    ),
    "optax.schedules._schedule_test::ExponentialTest::test_nonvalid_transition_steps*": (
        "0 < transition_steps < inf",
        STEPS,
    ),
    "optax.schedules._schedule_test::ExponentialTest::test_nonvalid_decay_rate*": (
        "0 < decay_rate < inf must hold",
        "a decay to nothing is refused, where optax logs it and returns a constant",
    ),
    "optax.schedules._schedule_test::WarmupCosineDecayTest::test_zero_peak_value": (
        "[3]: -2.25 (ACTUAL), 0.0 (DESIRED)",
        "ours ends at end_value, whatever the peak; optax forgets end_value where the peak is 0",
    ),
    "optax.schedules._inject_test::*::test_inject_hyperparams_starts_with_step_count_zero": (
        "jf.scale: gradients must be floating",
        "gradients that are integers are refused, by name",
    ),
    "optax.transforms._combining_test::ExtraArgsTest::test_extra_args": (
        "jf.adam: parameters must be floating",
        "parameters that are integers are refused, by name",
    ),
    "optax.transforms._clipping_test::ClippingTest::test_clip": ("jf.clip: state must be", STATE),
    "optax.transforms._clipping_test::ClippingTest::test_clip_by_global_norm": (
        "jf.clip_by_global_norm: state must be",
        STATE,
    ),
}


def run(module, folder):
    """The report of one module's tests."""
    settings, report = folder / "pytest.ini", folder / "report.json"
    settings.write_text("[pytest]\nfilterwarnings = error:::jefficient\\.\n", encoding="utf-8")
    options = ["-c", settings, "--rootdir", folder, "--noconftest", "--tb=short", "-p", "standin"]
    environment = {
        "JAX_PLATFORMS": "cpu",
        "OPTAX_SUITE_REPORT": str(report),
        "OPTAX_SUITE_SELECT": MODULES[module].select,
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(Path(standin.__file__).parent), os.environ.get("PYTHONPATH", "")]
        ),
    }
    done = processes.run("-m", "pytest", *options, "--pyargs", module, cwd=folder, env=environment)
    assert done.returncode in (0, 1), f"{module} did not run:\n{done.stdout}\n{done.stderr}"
    return json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_optax_suite(module, tmp_path):
    cases = {
        f"{module}::{name}": case for name, case in run(module, tmp_path).items() if case["calls"]
    }
    excepted = {
        pattern: says
        for pattern, (says, _) in EXCEPTIONS.items()
        if pattern.startswith(f"{module}::")
    }
    assert {name for case in cases.values() for name in case["calls"]} == set(
        MODULES[module].uses.split()
    )

    unexpected = []
    for name, case in cases.items():
        says = next(
            (says for pattern, says in excepted.items() if fnmatch.fnmatchcase(name, pattern)), None
        )
        if says is None and case["outcome"] != "passed":
            unexpected.append(f"{name} {case['outcome']}:\n{case['failure']}")
        elif says is not None and (case["outcome"] != "failed" or says not in case["failure"]):
            unexpected.append(
                f"{name} is to fail with {says!r}, but {case['outcome']}:\n{case['failure']}"
            )
    assert not unexpected, "\n\n".join(unexpected)
    unused = [pattern for pattern in excepted if not fnmatch.filter(cases, pattern)]
    assert not unused, f"exceptions without a case: {unused}"


def test_every_function_that_both_have_is_called():
    called = {name for module in MODULES.values() for name in module.uses.split()}
    assert set(standin.counterparts()) - called == UNCALLED


@pytest.mark.parametrize(
    ("name", "theirs"), standin.counterparts().items(), ids=standin.counterparts()
)
def test_arguments_their_order_and_defaults_are_optax_s(name, theirs):
    def arguments(function):
        return [
            (p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()
        ]

    assert arguments(getattr(jf, name)) == arguments(theirs)


def test_every_exception_belongs_to_a_module():
    assert {pattern.split("::")[0] for pattern in EXCEPTIONS} <= set(MODULES)
