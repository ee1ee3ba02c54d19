"""Tests the limit on spinning of OpenMP threads. Expected values are OpenMP's own printed settings."""

import os
import subprocess
import sys

import pytest

from gnmt.commands.openmp import SPIN_COUNT, limit_spinning


def test_spinning_is_limited():
    environment = {"HOME": "/"}
    limit_spinning(environment)
    assert environment == {"HOME": "/", "GOMP_SPINCOUNT": SPIN_COUNT}


@pytest.mark.parametrize("given", [{"GOMP_SPINCOUNT": "infinity"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_the_choice_of_the_user_is_kept(given):
    environment = dict(given)
    limit_spinning(environment)
    assert environment == given


@pytest.mark.end_to_end
def test_the_limit_is_set_before_torch_is_imported(tmp_path):
    """OpenMP prints its settings when torch is imported, in a new process."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment["OMP_DISPLAY_ENV"] = "verbose"
    done = subprocess.run(
        [sys.executable, "-m", "gnmt", "info", str(tmp_path)], env=environment, capture_output=True, text=True
    )
    if "OPENMP DISPLAY ENVIRONMENT" not in done.stderr:
        pytest.skip("this build of torch does not print OpenMP's settings")
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in done.stderr
