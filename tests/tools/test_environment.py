"""Tests scripts/environment.sh and scripts/test.sh with simulated interpreters.

Expected messages are written by hand.
"""

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from simulated_checkout import Checkout


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path)


def test_builds_once_and_then_reuses(checkout):
    checkout.add_python("python3.11")
    first = checkout.run()
    assert first.returncode == 0, first.stderr
    assert "Making the virtual environment" in first.stdout and "ready" in first.stdout
    assert len(checkout.pip_calls()) == 1
    assert checkout.pip_calls()[0].endswith("-c constraints.txt -e .[dev]") and " --quiet " in checkout.pip_calls()[0]

    (checkout.bin / "python3.11").unlink()  # built packages need no interpreter outside of the checkout
    second = checkout.run()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(checkout.pip_calls()) == 1


def test_stamp_names_folder_interpreter_requirements_and_extras(checkout):
    checkout.add_python("python3")
    checkout.run(arguments=["plots", "fairseq"])
    requirements = (checkout.root / "pyproject.toml").read_bytes() + (checkout.root / "constraints.txt").read_bytes()
    stamp = (checkout.venv / "environment.stamp").read_text().splitlines()
    assert stamp == [
        str(checkout.root),
        platform.python_version(),
        hashlib.sha256(requirements).hexdigest(),
        "fairseq plots",
    ]


def installed_extras(checkout) -> list:
    return [call.split()[-1] for call in checkout.pip_calls()]


def test_each_script_adds_its_extras_to_those_that_are_there(checkout):
    checkout.add_python("python3.11")
    for extras in (["plots"], ["fairseq"], ["plots"], ["fairseq", "plots"]):
        assert checkout.run(arguments=extras).returncode == 0
    assert installed_extras(checkout) == [".[plots]", ".[fairseq,plots]"]


def test_all_extras_need_no_addition(checkout):
    checkout.add_python("python3.11")
    checkout.run(arguments=["nvidia"])
    checkout.run()
    assert checkout.run(arguments=["fairseq"]).stdout == ""
    assert installed_extras(checkout) == [".[nvidia]", ".[dev]"]


@pytest.mark.parametrize("extra", ["devv", ".*", "", "fairseq plots x"])
def test_unknown_extra_is_refused_before_anything_is_made(checkout, extra):
    checkout.add_python("python3.11")
    result = checkout.run(arguments=["plots", extra])
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert (
        f"There is no extra '{extra}'; pyproject.toml has fairseq bulk ray plots nvidia serve docs dev."
        in result.stderr
    )
    assert not checkout.venv.exists()


def test_python_without_ready_made_fairseq_is_enough_without_training(checkout):
    checkout.add_python("python3", "3.13 Darwin arm64")
    assert checkout.run(arguments=["plots"]).returncode == 0
    assert installed_extras(checkout) == [".[plots]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed_into_what_is_there(checkout, name):
    checkout.add_python("python3.11")
    checkout.run()
    (checkout.venv / "own package").touch()
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    assert checkout.run().returncode == 0
    assert len(checkout.pip_calls()) == 2
    assert (checkout.venv / "own package").exists()
    assert checkout.run().stdout == ""


def test_failed_installation_is_made_anew(checkout):
    checkout.add_python("python3.11")
    checkout.error_message(fake_pip="exit 1")
    (checkout.venv / "half a package").touch()
    assert checkout.run().returncode == 0
    assert not (checkout.venv / "half a package").exists()
    assert checkout.run().stdout == ""


def test_killed_installation_is_made_anew(checkout):
    checkout.add_python("python3.11")
    command = ["bash", str(checkout.root / "scripts" / "environment.sh")]
    with subprocess.Popen(
        command, env=checkout.environment("sleep 600", None), stdout=subprocess.DEVNULL, start_new_session=True
    ) as installing:
        deadline = time.monotonic() + 60
        while not checkout.pip_calls() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert checkout.pip_calls()
        os.killpg(installing.pid, signal.SIGKILL)
    (checkout.venv / "half a package").touch()
    assert checkout.run().returncode == 0
    assert len(checkout.pip_calls()) == 2
    assert not (checkout.venv / "half a package").exists()


def test_two_runs_at_once_install_once(checkout):
    if shutil.which("flock") is None:
        pytest.skip("needs flock")
    checkout.add_python("python3.11")
    command = ["bash", str(checkout.root / "scripts" / "environment.sh")]
    runs = [
        subprocess.Popen(command, env=checkout.environment("sleep 1", None), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(checkout.pip_calls()) == 1
    assert sum("Waiting for another run" in text for text in printed) == 1


def test_moved_checkout_is_built_anew(checkout):
    checkout.add_python("python3.11")
    checkout.run()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert "Making" in checkout.run().stdout
    assert len(checkout.pip_calls()) == 2


def test_python_variable_chooses_and_replaces(checkout):
    checkout.add_python("python3.11")
    checkout.run()
    other = checkout.add_python("other", "3.12 Linux x86_64")
    assert f"with {other}" in checkout.run(python=other).stdout
    assert checkout.run(python=other).stdout == ""
    assert checkout.run().stdout == ""  # nothing is requested, so the existing environment is used


def test_environment_of_the_user_is_never_deleted(checkout):
    checkout.add_python("python3.11")
    checkout.venv.mkdir()
    (checkout.venv / "precious").touch()
    assert "was not made by this script" in checkout.error_message()
    assert (checkout.venv / "precious").exists()


@pytest.mark.parametrize(
    "descriptions, chosen",
    [
        (
            {"python3.11": "3.11 Linux x86_64", "python3.12": "3.12 Linux x86_64", "python3": "3.11 Linux x86_64"},
            "python3.11",
        ),
        ({"python3.12": "3.12 Linux x86_64", "python3": "3.11 Linux x86_64"}, "python3.12"),
        ({"python3": "3.12 Linux x86_64"}, "python3"),
        ({"python3.11": "", "python3": "3.11 Linux x86_64"}, "python3"),  # an alias that does not run
    ],
)
def test_first_interpreter_that_fits(checkout, descriptions, chosen):
    for name, description in descriptions.items():
        checkout.add_python(name, description)
    assert f"with {chosen}.\n" in checkout.run().stdout


@pytest.mark.parametrize(
    "descriptions, words",
    [
        ({}, ["No Python was found", "python3.11 python3.12 python3", "install Python 3.11"]),
        ({"python3": "3.9 Linux x86_64"}, ["python3 is Python 3.9", "install Python 3.11"]),
        ({"python3": "3.10 Linux x86_64"}, ["python3 is Python 3.10", "PYTHON="]),
        ({"python3": "2.7 Linux x86_64"}, ["python3 is Python 2.7", "PYTHON="]),
        ({"python3": "3.13 Linux x86_64"}, ["Python 3.13", "Python 3.11 or 3.12", "Installing fairseq elsewhere"]),
        ({"python3.11": "3.11 Darwin arm64"}, ["3.11 Darwin arm64", "Installing fairseq elsewhere"]),
        ({"python3.11": "3.11 Linux aarch64"}, ["3.11 Linux aarch64", "Installing fairseq elsewhere"]),
    ],
)
def test_wrong_python(checkout, descriptions, words):
    for name, description in descriptions.items():
        checkout.add_python(name, description)
    error_message = checkout.error_message()
    assert all(word in error_message for word in words), error_message
    assert not checkout.venv.exists()


def test_named_python_is_the_only_one_tried(checkout):
    checkout.add_python("python3.11")
    assert "tried /no/python" in checkout.error_message(python=Path("/no/python"))


def test_own_fairseq_elsewhere_is_used(checkout):
    """Without a suitable wheel, a .venv in which the user has installed fairseq is used."""
    mac = checkout.add_python("mac", "3.13 Darwin arm64")
    (checkout.venv / "bin").mkdir(parents=True)
    shutil.copy(mac, checkout.venv / "bin" / "python")
    assert checkout.run().returncode == 0  # the real Python behind the simulated one has fairseq
    assert len(checkout.pip_calls()) == 1


def test_missing_venv_module(checkout):
    checkout.add_python("python3.11", venv_module_missing=1)
    assert "apt install python3-venv" in checkout.error_message()


def test_full_disk_is_noticed_before(checkout):
    checkout.add_python("python3.11")
    checkout.add_program("df", "#!/bin/bash\necho Filesystem\necho '/dev/x 100 90 512000 90% /'\n")
    assert "Only 500 MB are free" in checkout.error_message()
    assert not checkout.venv.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_unwritable_folder(checkout):
    checkout.add_python("python3.11")
    checkout.root.chmod(0o555)
    try:
        assert "cannot be written" in checkout.error_message()
    finally:
        checkout.root.chmod(0o755)


@pytest.mark.parametrize(
    "fake_pip, words",
    [
        (
            "echo 'WARNING: Retrying (Retry(total=0, connect=None)) after connection broken' >> \"$log\"",
            "could not be reached",
        ),
        ("echo \"OSError: [Errno 28] No space left on device: '/x'\" >&2", "the disk is full"),
        (
            "echo '2026-01-01 ERROR: No matching distribution found for torch==2.13.0' >> \"$log\"",
            "No matching distribution",
        ),
        ("echo 'No module named pip' >&2", "No module named pip"),
        ("true", "the reason stands above"),
    ],
)
def test_failures_of_pip(checkout, fake_pip, words):
    checkout.add_python("python3.11")
    error_message = checkout.error_message(f"{fake_pip}; exit 1")
    assert words in error_message and f"{checkout.venv}/pip.log" in error_message


def test_sourcing_is_refused_and_leaves_the_shell_alone(checkout):
    script = checkout.root / "scripts" / "environment.sh"
    shell = subprocess.run(
        ["bash", "-c", f"source '{script}'; echo status $? flags $-"], capture_output=True, text=True, timeout=60
    )
    assert "status 1" in shell.stdout and "e" not in shell.stdout.split("flags ")[1]
    assert f"bash {script}" in shell.stderr
    assert not checkout.venv.exists()


@pytest.mark.parametrize(
    "outcome, code, words", [("True", 0, "1 tests (0 failed, 0 skipped)"), ("False", 1, "1 tests (1 failed")]
)
def test_test_script_passes_arguments_and_exit_code(checkout, outcome, code, words):
    checkout.add_python("python3.11")
    (checkout.root / "tests").mkdir()
    (checkout.root / "tests" / "test_it.py").write_text(
        f"def test_this(): assert {outcome}\ndef test_that(): assert False\n"
    )
    result = checkout.run(script="test.sh", arguments=["-k", "this", "-p", "no:cacheprovider"])
    assert result.returncode == code, result.stdout + result.stderr
    assert words in result.stdout.splitlines()[-1] and "minutes" in result.stdout.splitlines()[-1]
