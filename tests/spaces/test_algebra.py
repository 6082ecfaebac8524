"""Sums and products of spaces, equal configurations, hashes, and the repr."""

import hashlib
import warnings

import jax
import jax.numpy as jnp
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jefficient as jf

VALUES = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 0.5, 1.0]))
LABELLED = {"relu": jax.nn.relu, "tanh": jnp.tanh, "id": lambda x: x}


@st.composite
def spaces(draw, suffix=""):
    """A space with a traced, a static and a labelled column."""
    kinds = st.sampled_from([None, True, "a", 1])
    config = st.tuples(VALUES, kinds, st.sampled_from(sorted(LABELLED)))
    configs = draw(
        st.lists(config, min_size=1, max_size=6, unique_by=lambda x: tuple(map(repr, x)))
    )
    x, kind, label = map(tuple, zip(*configs, strict=True))
    names = draw(st.permutations([f"x{suffix}", f"kind{suffix}", f"f{suffix}"]))
    columns = {
        f"x{suffix}": x,
        f"kind{suffix}": kind,
        f"f{suffix}": tuple(map(LABELLED.__getitem__, label)),
    }
    marks = {f"kind{suffix}": tuple(map(str, kind)), f"f{suffix}": label}
    return jf.Space({name: columns[name] for name in names}, marks)


def joined(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jf.JefficientWarning)
        return a + b


@given(spaces(), spaces(), spaces())
def test_append_is_associative_and_keeps_first_ones(a, b, c):
    left, right = joined(joined(a, b), c), joined(a, joined(b, c))
    assert left == right
    assert left.hashes == tuple(dict.fromkeys(a.hashes + b.hashes + c.hashes))
    assert left.names == a.names
    assert set(joined(b, a).hashes) == set(joined(a, b).hashes)


@given(spaces(), spaces("2"))
def test_cross_has_every_pair(a, b):
    both = a * b
    assert len(both) == len(a) * len(b)
    assert list(both) == [{**x, **y} for x in a for y in b]
    assert set(both.hashes) == set((b * a).hashes)
    assert both.labels("f") == tuple(label for label in a.labels("f") for _ in range(len(b)))
    assert not both.is_number("kind2")


@given(spaces(), spaces(), spaces("2"))
def test_cross_distributes_over_append(a, b, c):
    assert joined(a, b) * c == joined(a * c, b * c)


@given(spaces(), st.randoms())
def test_hashes_depend_on_the_configuration_alone(space, random):
    """Not on the order of the names, nor on the other configurations."""
    names = list(space.names)
    random.shuffle(names)
    config = random.randrange(len(space))
    alone = jf.Space(
        {name: (space.columns[name][config],) for name in names},
        {name: (space.labels(name)[config],) for name in space.static},
    )
    assert alone.hashes == (space.hashes[config],)


def test_cross_is_a_grid():
    assert jf.grid(a=[1, 2]) * jf.grid(b=[0.5, None]) == jf.grid(a=[1, 2], b=[0.5, None])


def test_append_takes_names_in_any_order_and_merges_with_a_warning():
    a, b = jf.grid(x=[1, 2], f=[jax.nn.relu]), jf.grid(f=[jax.nn.relu, jnp.tanh], x=[2, 3])
    with pytest.warns(jf.JefficientWarning) as caught:
        space = a + b
    assert [
        (config["x"], label) for config, label in zip(space, space.labels("f"), strict=True)
    ] == [
        (1, "relu"),
        (2, "relu"),
        (3, "relu"),
        (2, "tanh"),
        (3, "tanh"),
    ]
    assert str(caught[0].message) == (
        "jf.Space: every configuration comes once, got 1 of 6 again, first {'x': 2, 'f': 'relu'}. "
        "They are merged: 5 are left."
    )
    assert caught[0].filename == __file__


def test_which_configurations_are_equal():
    for one, other in ((1, 1.0), (0.0, -0.0), (1.0, 1.0000000000000002)):
        assert len(jf.grid(x=[one]) + jf.grid(x=[other])) == 2
    assert len(jf.grid(x=[True, None]) + jf.grid(x=[None, "x"][1:])) == 3
    with pytest.warns(jf.JefficientWarning):
        assert len(jf.grid(x=[float("nan")]) + jf.grid(x=[float("nan")])) == 1


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (jf.grid(x=[3]), '{"x":"int:3"}'),
        (jf.grid(x=[3.0]), '{"x":"float:0x1.8000000000000p+1"}'),
        (jf.grid(x=[0.1]), '{"x":"float:0x1.999999999999ap-4"}'),
        (jf.grid(x=[True]), '{"x":"bool:True"}'),
        (jf.grid(x=[None]), '{"x":"None:"}'),
        (jf.grid(x=["3"]), '{"x":"str:3"}'),
        (jf.grid(x=["η"]), '{"x":"str:\\u03b7"}'),
        (jf.grid(x=[jax.nn.relu]), '{"x":"object:relu"}'),
        (jf.grid(x=[(64, 0.5)]), '{"x":"object:(64, 0.5)"}'),
        (jf.grid(b=jf.static({"mine": lambda x: x}), a=[1]), '{"a":"int:1","b":"object:mine"}'),
        (jf.grid(width=jf.static({"small": 32})), '{"width":"int:32"}'),
    ],
)
def test_hashes_are_what_the_docstring_says(space, text):
    assert space.hashes == (hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),)


def test_a_hash_never_changes():
    space = jf.grid(
        learning_rate=[0.1], l2=[0.0], batch_size=[64], activation=[jax.nn.relu], momentum=[None]
    )
    assert space.hashes == ("6107bec84c5b9f846659fb2438261425",)


def relu(x):
    return jnp.maximum(x, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: jf.grid(a=[1], b=[2]) + jf.grid(a=[1], c=[2]),
            r"spaces joined by \+ must have the same names, got \['a', 'b'\] and "
            r"\['a', 'c'\]. Give each the names that it lacks",
        ),
        (
            lambda: jf.grid(a=[1], b=[2]) * jf.grid(b=[1], c=[2]),
            r"spaces crossed by \* must have no common name, got \['a', 'b'\] and "
            r"\['b', 'c'\]. .* use \+\.",
        ),
        (
            lambda: jf.grid(width=jf.static([32])) + jf.grid(width=[64]),
            r"width must be static in both spaces or traced in both, got static values such as 32 "
            r"and traced ones such as 64. Mark the numbers: width=jf.static\(\[64, …\]\)\.",
        ),
        (
            lambda: jf.grid(m=[0.9]) + jf.grid(m=[None]),
            r".* static values such as None and traced ones such as 0.9\.",
        ),
        (
            lambda: jf.grid(f=[jax.nn.relu]) + jf.grid(f=[relu]),
            r"f must have one value for each label, got 'relu' for .* and <function relu",
        ),
        (
            lambda: jf.grid(f=[jax.nn.relu]) + jf.grid(f=jf.static({"ReLU": jax.nn.relu})),
            r"f must have one label for each value, got 'relu' and 'ReLU' for",
        ),
        (
            lambda: jf.grid(n=jf.static([32])) + jf.grid(n=jf.static({"small": 32})),
            r"n must have one label for each value, got '32' and 'small' for 32\.",
        ),
        (lambda: jf.Space({}), r"columns must have one length of at least 1, got {}\."),
        (
            lambda: jf.Space({"a": (), "b": ()}),
            r"columns must have one length of at least 1, got {'a': 0, 'b': 0}\.",
        ),
        (
            lambda: jf.Space({"a": (1,), "b": (1, 2)}),
            r"columns must have one length .* got {'a': 1, 'b': 2}\.",
        ),
        (
            lambda: jf.Space({"a": (1,)}, {"a": ("x", "y")}),
            r"static must have a label for each value of a column, got a=\('x', 'y'\)\.",
        ),
        (
            lambda: jf.Space({"a": (1,)}, {"b": ("x",)}),
            r"static must have a label for each value of a column, got b=\('x',\)\.",
        ),
        (lambda: jf.Space({"a": (1, 2, 1)}), r"configurations must differ, got {'a': 1} twice\."),
        (
            lambda: jf.Space({1: (1,)}),
            r"a name must be an identifier and no keyword, got 1\.",
        ),
    ],
)
def test_spaces_that_do_not_fit_are_refused(make, message):
    with pytest.raises(jf.ArgumentError, match=f"^jf.Space: {message}"):
        make()


@pytest.mark.parametrize("make", [lambda a: a + {"x": (1,)}, lambda a: a * 2, lambda a: 2 * a])
def test_only_spaces_are_appended_and_crossed(make):
    with pytest.raises(TypeError, match="unsupported operand"):
        make(jf.grid(x=[1]))


def test_the_repr_is_one_line():
    space = jf.grid(
        rate=[0.001, 0.03, 0.1, 0.0123456],
        f=jf.static({"relu": jax.nn.relu, "mine": lambda x: x}),
        width=jf.static([2**k for k in range(7)]),
        batch_size=[16, 64],
    )
    assert repr(space) == str(space)
    assert str(space) == (
        "Space(112 configurations; rate: 4 numbers, 0.001 to 0.1; f (static): relu, mine; "
        "width (static): 1, 2, 4, 8, 16, … 7 in all; batch_size: 16, 64)"
    )
    assert repr(jf.grid(x=[1])) == "Space(1 configuration; x: 1)"


def test_grids_with_names_of_their_own_join_as_the_message_says():
    """What scikit-learn has as a list of grids; the code in the message is run."""
    sgd = jf.grid(
        kind=["sgd"], learning_rate=[0.01, 0.1], momentum=[0.0, 0.9], nesterov=[True, False]
    )
    adam = jf.grid(kind=["adam"], learning_rate=[0.01, 0.1], b2=[0.9, 0.99])
    with pytest.raises(jf.ArgumentError, match="does not use: ") as caught:
        sgd + adam
    code = str(caught.value).partition("does not use: ")[2].removesuffix(".")
    joined = eval(code, {"first": sgd, "second": adam, "jf": jf})
    assert code == "first * jf.grid(b2=[0.9]) + second * jf.grid(momentum=[0.0], nesterov=[None])"
    assert len(joined) == len(sgd) + len(adam) == 12
    assert [name for name in joined.names if joined.is_number(name)] == [
        "learning_rate",
        "momentum",
        "b2",
    ]

    def optimizer(kind, learning_rate, momentum, nesterov, b2):
        if kind == "sgd":
            return jf.sgd(learning_rate, momentum, nesterov=nesterov)
        return jf.adam(learning_rate, b2=b2)

    for configuration in joined:
        assert isinstance(optimizer(**configuration), optax.GradientTransformation)
