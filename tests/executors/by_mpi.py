"""Parts on MPI ranks: ``mpiexec -n 3 python -m mpi4py.futures by_mpi.py OUTPUT``."""

import sys

from executors.test_parts import SETTINGS
from sweeps import small

if __name__ == "__main__":
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as ranks:
        small.sweep(**SETTINGS, executor=ranks, parts=3).save(sys.argv[1])
