"""The laws of a search."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from .._core.checks import check_count
from .._core.errors import ArgumentError, ArgumentTypeError
from ..results import Curves, Labels, Status, to_dataset
from ..spaces import Space
from ..sweeps import Goal, Search
from ..sweeps._search import kinds
from ._law import verify

SEEDS = 2
EVALUATIONS = 3

Tell = Callable[[Space], xr.Dataset]


class Case(NamedTuple):
    """What is verified: what a factory makes, for some batches of proposals."""

    factory: Callable[[], Search]
    mode: str
    batches: int

    @property
    def goal(self) -> Goal:
        """What `begin` is given."""
        return Goal(self.mode, {"metric": "valid_loss", "mode": self.mode, "steps": 30})

    def tell(self, space: Space) -> xr.Dataset:
        """Return results of a proposal, each score a function of its configuration alone."""
        return _results(space, self.mode)

    def run(self, tell: Tell | None = None, search: Search | None = None) -> list[Space]:
        """Return the proposals of a search that is told the results, by default of a new one."""
        search = self.factory() if search is None else search
        tell = self.tell if tell is None else tell
        search.begin(self.goal)
        try:
            proposals: list[Space] = []
            while len(proposals) < self.batches and (space := search.ask()) is not None:
                if not isinstance(space, Space):
                    raise AssertionError(f"ask must return a jf.Space or None, got {space!r}.")
                proposals.append(space)
                search.tell(tell(space))
            return proposals
        finally:
            search.close()


def verify_search(
    factory: Callable[[], Search],
    *,
    mode: str = "min",
    batches: int = 6,
    laws: Iterable[str] | None = None,
) -> None:
    """Hold a search to what `jf.sweep` relies on, by telling it made-up results.

    Args:
        factory: ``() -> search``: each call makes the same search anew, with its random numbers
            from the start and a storage, if it has one, of its own.
        mode: "min" or "max": which scores are better.
        batches: proposals to ask for; fewer where the search ends before.
        laws: names from `SEARCH_LAWS`; by default all.

    Raises:
        LawError: if a law is broken: which one, and what to do.
        ArgumentError: if a law is unknown, or `mode` or `batches` is out of range.
        ArgumentTypeError: if `factory` makes no `jf.Search`.

    Examples:
        >>> import jefficient as jf
        >>> import jefficient.testing
        >>> class Once(jf.Search):
        ...     batch = 3
        ...
        ...     def begin(self, goal):
        ...         self.space = jf.grid(learning_rate=[0.1, 0.01, 0.001])
        ...
        ...     def example(self):
        ...         return jf.grid(learning_rate=[0.1])
        ...
        ...     def ask(self):
        ...         space, self.space = self.space, None
        ...         return space
        ...
        ...     def tell(self, dataset):
        ...         pass
        >>> jf.testing.verify_search(Once)
    """
    where = "jf.testing.verify_search"
    check_count(where, batches=batches)
    if mode not in ("min", "max"):
        raise ArgumentError(f"{where}: mode must be 'min' or 'max', got mode={mode!r}.")
    search = factory() if callable(factory) else factory
    if not callable(factory) or not isinstance(search, Search):
        raise ArgumentTypeError(
            f"{where}: factory must be a function without arguments that returns a jf.Search, got "
            f"{search!r}."
        )
    verify(where, SEARCH_LAWS, laws, Case(factory, mode, batches))


def _results(
    space: Space, mode: str, time: float = 1.0, ended: Sequence[Status] = ()
) -> xr.Dataset:
    """Return made-up results: the statuses `ended` in turn, all finished by default."""
    shape = (len(space), SEEDS, 1)
    score = np.array([int(text[:8], 16) / 2**32 for text in space.hashes])
    falling = (1 if mode == "min" else -1) * 0.5 ** np.arange(EVALUATIONS)
    curves = score[:, None, None, None] + falling
    curves = np.broadcast_to(curves, (*shape, EVALUATIONS)).astype(np.float32)

    status = np.full(shape, Status.FINISHED)
    if ended:
        status[:] = np.resize(np.array(ended), len(space))[:, None, None]
    is_cut = status != Status.FINISHED
    curves = np.where(is_cut[..., None] & (np.arange(EVALUATIONS) > 0), np.nan, curves)
    curves = np.where((status == Status.DIVERGED)[..., None], np.nan, curves)
    step = np.broadcast_to(10 * np.arange(1, EVALUATIONS + 1), (len(space), 1, EVALUATIONS))

    made = Curves(
        measured={"valid_loss": curves, "train_loss": curves},
        diagnostics={},
        seconds=np.broadcast_to(time * np.arange(1.0, EVALUATIONS + 1), curves.shape),
        status=status,
        started_at=np.zeros(is_cut.shape, int),
        steps_taken=np.where(is_cut, 10, 30),
        diverged_at=np.where(status == Status.DIVERGED, 5, -1),
        step=step,
        steps_per_epoch=np.full((len(space), 1), 10.0),
        block_width=np.full(len(space), 8),
    )
    attributes = {
        "metric": "valid_loss",
        "mode": mode,
        "select": "last",
        "diverged_above": np.inf,
        "seconds": time,
        "utilization": 1 / (1 + time),
        "call": json.dumps({"steps": 30, "seeds": SEEDS}),
    }
    columns = {name: space.labels(name) for name in space.names}
    return to_dataset(Labels(columns, space.hashes, [80], [20]), made, attributes)


def _same(got: Sequence[Space], expected: Sequence[Space], advice: str) -> None:
    for number, (here, there) in enumerate(zip(got, expected, strict=False)):
        if here.hashes != there.hashes:
            raise AssertionError(
                f"The proposals must be the same, got {here} and {there} as number {number}. "
                f"{advice}"
            )
    if len(got) != len(expected):
        raise AssertionError(
            f"The proposals must be the same, got {len(got)} and {len(expected)}. {advice}"
        )


def _batch(case: Case) -> None:
    """a proposal has at least one configuration, and at most `batch`."""
    batch = getattr(case.factory(), "batch", None)
    if not isinstance(batch, int) or batch < 1:
        raise AssertionError(f"batch must be a whole number of 1 or more, got batch={batch!r}.")
    sizes = [len(space) for space in case.run()]
    if not sizes:
        raise AssertionError("ask must propose something before it returns None.")
    if max(sizes) > batch:
        raise AssertionError(f"ask must propose at most batch={batch}, got {max(sizes)}.")


def _example(case: Case) -> None:
    """example() has the hyperparameters of the proposals, static or traced in the same dtype."""
    example = case.factory().example()
    if not isinstance(example, Space):
        raise AssertionError(f"example must return a jf.Space, got {example!r}.")
    for space in case.run():
        if kinds(space) != kinds(example):
            raise AssertionError(
                f"Proposals must be as the example, got {kinds(space)} and {kinds(example)}. Write "
                f"1.0 for a float that is whole, and mark static values with jf.static."
            )


def _new(case: Case) -> None:
    """no configuration is proposed twice."""
    known: set[str] = set()
    for space in case.run():
        for config, text in zip(space, space.hashes, strict=True):
            if text in known:
                raise AssertionError(
                    f"ask must propose what was not proposed before, got {config} again. Remember "
                    f"space.hashes and leave those out: space.part(places)."
                )
        known |= set(space.hashes)


def _deterministic(case: Case) -> None:
    """a search that is told the same proposes the same."""
    _same(
        case.run(),
        case.run(),
        "Draw random numbers from a generator with a fixed seed that the factory makes, and keep "
        "what was told in the search, not in its class.",
    )


def _arrival(case: Case) -> None:
    """when results arrived does not matter, only what they are."""
    times = iter(range(2, 10**6))
    _same(
        case.run(lambda space: _results(space, case.mode, time=100.0 / next(times))),
        case.run(),
        "Leave `seconds` and the attributes about time out of what proposals depend on.",
    )


def _failures(case: Case) -> None:
    """a search goes on when configurations have diverged or were stopped, even all of a batch."""
    failures = [Status.DIVERGED, Status.STOPPED]
    for ended in ([Status.FINISHED, *failures], *([status] for status in failures)):
        case.run(lambda space, ended=ended: _results(space, case.mode, ended=ended))


def _dataset(case: Case) -> None:
    """tell and annotate leave the dataset that they are given as it is."""

    def check(call: Callable[[xr.Dataset], object], dataset: xr.Dataset) -> None:
        before = dataset.copy(deep=True)
        call(dataset)
        if not dataset.identical(before):
            raise AssertionError("The dataset was changed: it is the sweep's. Work on a copy.")

    search = case.factory()
    search.begin(case.goal)
    try:
        space = search.ask()
        assert space is not None
        check(search.tell, case.tell(space))
        check(search.annotate, case.tell(space))
        if search.annotate(case.tell(space)).sizes["config"] != len(space):
            raise AssertionError("annotate must return the configurations that it is given.")
    finally:
        search.close()


def _restored(case: Case) -> None:
    """after a kill or Ctrl-C in the middle of a batch the search can begin again."""
    expected = case.run()
    advice = "Set up in begin() all that a sweep changes, and keep nothing in the class."

    killed = case.factory()  # never told, never closed
    killed.begin(case.goal)
    killed.ask()
    _same(case.run(), expected, advice)

    for is_told in (False, True):  # after an error nothing is told, after Ctrl-C what there is
        search = case.factory()
        search.begin(case.goal)
        space = search.ask()
        assert space is not None
        if is_told:
            search.tell(_results(space, case.mode, ended=[Status.FINISHED, Status.INTERRUPTED]))
        search.close()

        again = case.run(search=search)
        if not again:
            raise AssertionError(f"After close() and begin() ask must propose again. {advice}")
        if again[0].hashes == expected[0].hashes:  # then it has started from the beginning
            _same(again, expected, advice)


def _ends(case: Case) -> None:
    """after its end, ask() still returns None."""
    search = case.factory()
    search.begin(case.goal)
    try:
        for _ in range(case.batches):
            space = search.ask()
            if space is None:
                break
            search.tell(case.tell(space))
        else:
            return
        if search.ask() is not None:
            raise AssertionError("ask must return None again after it has, got a proposal.")
    finally:
        search.close()


SEARCH_LAWS: dict[str, Callable[[Case], None]] = {
    "batch": _batch,
    "example": _example,
    "new": _new,
    "deterministic": _deterministic,
    "arrival": _arrival,
    "failures": _failures,
    "dataset": _dataset,
    "restored": _restored,
    "ends": _ends,
}
"""The laws of `verify_search` by name.

`batch`: a proposal has at least one configuration, and at most `batch`.
`example`: `example()` has the hyperparameters of the proposals, in the same dtype.
`new`: no configuration is proposed twice.
`deterministic`: a search that is told the same proposes the same.
`arrival`: when results arrived does not matter, only what they are.
`failures`: the search goes on when configurations have diverged or were stopped, even all.
`dataset`: `tell` and `annotate` leave the dataset that they are given as it is.
`restored`: after a kill or Ctrl-C in the middle of a batch the search can begin again.
`ends`: after its end, `ask()` still returns None.
"""
