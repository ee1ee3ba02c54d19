"""Tests the `gnmt` command in a separate process: missing packages, a full disk, and file names with invalid bytes.

Expected messages are written by hand.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_help_and_errors_of_the_list_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; from gnmt.__main__ import main; main(sys.argv[1:])"
    for arguments, status in ((["--help"], 0), (["--version"], 0), ([], 2), (["tranlsate"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr


def test_a_missing_package_is_an_error_that_names_the_doctor():
    code = "import sys; sys.modules['torch'] = None; from gnmt.__main__ import main; main(['translate', 'model'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "error: The package torch cannot be imported: `gnmt doctor` names the remedy.\n",
    )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk_is_reported(option):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "gnmt", option], cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    sentence = "error: The output could not be written (No space left on device): make room on its disk.\n"
    assert done.stderr.decode() == sentence


def test_a_name_of_any_bytes_is_escaped_in_messages(tmp_path):
    command = [sys.executable, "-m", "gnmt", "translate", bytes(tmp_path) + b"/mod\xff"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {tmp_path}/mod\\udcff is not a folder: name a model folder of `gnmt export`.\n"


def test_the_doctor_prints_its_own_lines_only():
    done = subprocess.run([sys.executable, "-m", "gnmt", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(re.match(r"(ok  |n/a |FAIL)  [\w -]+: ", line) for line in done.stdout.splitlines())
