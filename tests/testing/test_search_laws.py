"""Our search obeys the laws, and laws catch searches that break them."""

import optuna
import pytest

import jefficient as jf
from jefficient.testing import SEARCH_LAWS, LawError, verify_search

optuna.logging.set_verbosity(optuna.logging.WARNING)


def optuna_search():
    ranges = {"learning_rate": jf.LogUniform(1e-4, 1.0), "momentum": jf.Choice([0.0, 0.9])}
    return jf.optuna(optuna.samplers.TPESampler(seed=0), 12, batch=4, storage=None, **ranges)


SEARCHES = {"optuna": optuna_search}


@pytest.mark.parametrize("law", SEARCH_LAWS)
@pytest.mark.parametrize("name", SEARCHES)
def test_law(name, law):
    verify_search(SEARCHES[name], laws=[law])


class Halves(jf.Search):
    """Learning rates 1, 1/2, 1/4, …, two at a time: right. Each below breaks it in one way."""

    batch = 2

    def example(self):
        return jf.grid(learning_rate=[1.0])

    def begin(self, goal):
        self.count = 0

    def ask(self):
        if self.count == 6:
            return None
        return jf.grid(learning_rate=[0.5**self.count, 0.5 ** (self.count + 1)])

    def tell(self, dataset):
        self.count += 2


class Larger(Halves):
    batch = 1


class Integers(Halves):
    def example(self):
        return jf.grid(learning_rate=[1])


class Again(Halves):
    def tell(self, dataset):
        self.count += 1


class BeginsAgain(Halves):
    def ask(self):
        space = super().ask()
        if space is None:
            self.count = 0
        return space


class ByTheClock(Halves):
    def tell(self, dataset):
        super().tell(dataset)
        self.count += 2 * (dataset.attrs["seconds"] > 1)


class GivesUp(Halves):
    def tell(self, dataset):
        super().tell(dataset)
        int(dataset["valid_loss"].min())  # NaN if all have diverged


class Writes(Halves):
    def tell(self, dataset):
        super().tell(dataset)
        dataset["valid_loss"][:] = 0.0


class BeginsOnce(Halves):
    def begin(self, goal):
        self.count = getattr(self, "count", 0)

    def close(self):
        self.count = 6


BROKEN = {
    "batch": Larger,
    "example": Integers,
    "new": Again,
    "arrival": ByTheClock,
    "failures": GivesUp,
    "dataset": Writes,
    "restored": BeginsOnce,
    "ends": BeginsAgain,
}


@pytest.mark.parametrize("law", BROKEN)
def test_a_search_that_breaks_a_law_is_told(law):
    verify_search(Halves, laws=[law])
    with pytest.raises(LawError, match=f"the law '{law}' is broken"):
        verify_search(BROKEN[law], laws=[law])
