"""Threads that dawdle: `THREAD_DELAYS=1 python -m pytest tests/sweeps` finds what waits for luck.

Every job of `Workers` waits at random before it begins and before it says that it has ended, so
that blocks, compilations, reads and writes come in another order. The number seeds the draws; which
job gets which draw is up to the threads. A test that fails only then asserts more than is promised,
or the package has a race.
"""

import random
import time

from jefficient._core.debugging import Workers

SECONDS = (0, 0, 0.02, 0.2)


def begin(seed):
    """Delay the jobs of all threads from here on."""
    submit, random_of = Workers.submit, random.Random(seed)

    def delayed(self, function, /, *args, **kwargs):
        def job(*args, **kwargs):
            time.sleep(random_of.choice(SECONDS))
            try:
                return function(*args, **kwargs)
            finally:
                time.sleep(random_of.choice(SECONDS))

        return submit(self, job, *args, **kwargs)

    Workers.submit = delayed
