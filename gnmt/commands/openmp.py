"""OpenMP threads of torch: the time for which a waiting thread spins before it sleeps."""

from typing import MutableMapping

# GNU's default is up to 300,000 iterations, which take some milliseconds. If another program uses one of two cores, a
# spinning thread delays the other thread. The translation of 100 lines then takes up to 44 s instead of 6 s.
# On an idle machine, 10,000 iterations are as fast as the default (AMD EPYC, Zen 5; batches of 64 and of 1).
SPIN_COUNT = "10000"
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Limits the spinning of threads, unless the user has set it; has an effect only before torch is imported.

    Args:
        environment: environment variables of this process, which its child processes inherit.
    """
    if not any(name in environment for name in VARIABLES):
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
