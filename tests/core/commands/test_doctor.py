"""Tests `gnmt doctor`: each simulated failure has a remedy, and libraries print nothing.

Expected messages are written by hand.
"""

import importlib.metadata
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch
from model_folders import make_model_folder

from gnmt.precision import PRECISIONS
from gnmt.commands import doctor
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def versions(monkeypatch) -> dict:
    """Fixture: overrides installed versions of packages; None stands for a missing package."""
    changed = {}
    installed = importlib.metadata.version

    def version(name: str) -> str:
        simulated = changed[name] if name in changed else installed(name)
        if simulated is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return simulated

    monkeypatch.setattr(importlib.metadata, "version", version)
    return changed


@pytest.fixture(autouse=True)
def imported_fairseq(monkeypatch):
    """Fixture: no import of fairseq, which takes seconds; returns the check."""
    check = doctor.load_fairseq
    monkeypatch.setattr(doctor, "load_fairseq", lambda: "done")
    return check


def findings_of(model=None) -> dict:
    return {finding.name: finding for finding in doctor.findings(model)}


def test_this_environment_passes(tmp_path, capsys):
    model = make_model_folder(tmp_path / "model")
    run_module(doctor, "gnmt doctor", [str(model)])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok    ", "n/a   ")) for line in lines)
    for precision in PRECISIONS:
        if precision == "fp16":
            assert "n/a   round trip in fp16: not supported on a CPU" in lines
        else:
            assert f"ok    round trip in {precision}: translates" in lines
    assert f"ok    model {model}: en to de, fp32" in lines


def test_a_missing_package_fails_and_ends_the_checks(versions, capsys):
    versions["sentencepiece"] = None
    with pytest.raises(SystemExit) as ending:
        run_module(doctor, "gnmt doctor", [])
    printed = capsys.readouterr().out
    assert ending.value.code == 1
    assert "FAIL  sentencepiece: not installed\n      pip install 'sentencepiece>=0.2'\n" in printed
    assert "round trip" not in printed


@pytest.mark.parametrize("version, is_old", [("2.5.1", True), ("2.6.0+cpu", False), ("2.10", False), ("1.13", True)])
def test_an_old_package_fails(versions, version, is_old):
    versions["torch"] = version
    finding = doctor.check_package("torch", "2.6")
    assert finding == doctor.Finding("torch", version, "pip install 'torch>=2.6'" if is_old else None)


def test_minimum_versions_equal_the_requirements_of_the_package():
    declared = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("setup.py", "pyproject.toml"))
    for name, minimum in re.findall(r'"([\w-]+)>=([\d.]+)', declared):
        assert doctor.PACKAGES.get(name, minimum) == minimum, name


def test_fairseq_may_be_absent(versions):
    versions["ve-fairseq"] = versions["fairseq"] = None
    finding = doctor.check_fairseq()
    assert finding.remedy is None and "pip install -e '.[fairseq]'" in finding.found


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    assert doctor.check_python().remedy == "Install Python 3.11 or later."


def test_little_memory_fails(monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda: 100 << 20)
    assert doctor.check_memory() == doctor.Finding(
        "memory", "0.1 GiB available", "Close other programs: large models need more memory."
    )


def test_too_many_threads_fail(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 9)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    finding = doctor.attempt("threads", doctor.check_threads)
    assert finding.remedy == "torch uses 9 threads on 2 cores: set OMP_NUM_THREADS=2, or give --threads 2."


@pytest.mark.parametrize("cuda, words", [(None, "is built without CUDA"), ("12.8", "needs a driver for CUDA 12.8")])
def test_a_gpu_that_torch_cannot_use_fails(monkeypatch, cuda, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert words in doctor.attempt("GPU", doctor.check_gpu).remedy
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor.attempt("GPU", doctor.check_gpu).remedy is None


def test_a_precision_that_fails_gets_a_remedy_and_the_others_go_on(monkeypatch):
    tried = doctor.try_precision

    def failing(precision: str) -> str:
        if precision == "int8":
            raise RuntimeError("no kernel")
        return tried(precision)

    monkeypatch.setattr(doctor, "try_precision", failing)
    findings = findings_of()
    assert findings["round trip in int8"].found == "RuntimeError: no kernel"
    assert "pip install --force-reinstall" in findings["round trip in int8"].remedy
    assert findings["round trip in fp32"].remedy is None


def test_an_installation_of_torch_that_does_not_load_ends_the_checks(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    findings = findings_of()
    assert (
        "pip install --force-reinstall" in findings["import of torch"].remedy
        and list(findings)[-1] == "import of torch"
    )

    def broken() -> str:
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "load_torch", broken)
    assert "pip install --force-reinstall" in findings_of()["import of torch"].remedy


def test_a_full_disk_is_reported(monkeypatch):
    def full(**options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", full)
    assert "TMPDIR" in findings_of()["round trip in fp32"].remedy


def test_a_damaged_model_is_reported(tmp_path):
    model = make_model_folder(tmp_path / "model")
    (model / "vocab.json").write_text("{}")
    finding = findings_of(model)[f"model {model}"]
    assert finding.found == "failed" and "vocab.json" in finding.remedy
    assert "is not a folder" in findings_of(tmp_path / "none")[f"model {tmp_path / 'none'}"].remedy


def test_libraries_print_nothing(capfd):
    def noisy() -> str:
        print("install this")
        print("and that", file=sys.stderr)
        warnings.warn("and upgrade", stacklevel=1)
        return "fine"

    assert doctor.attempt("noise", noisy) == doctor.Finding("noise", "fine")
    assert capfd.readouterr() == ("", "")


def test_user_errors_are_remedies():
    def wrong() -> str:
        raise UserError("Do this.")

    assert doctor.attempt("check", wrong) == doctor.Finding("check", "failed", "Do this.")


def test_a_package_that_is_installed_but_broken_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    remedy = findings_of()["import of the other packages"].remedy
    assert remedy.startswith("sacrebleu cannot be imported (") and "pip install --force-reinstall" in remedy


def test_a_fairseq_that_is_installed_but_broken_is_named(imported_fairseq, monkeypatch, tmp_path):
    (tmp_path / "fairseq.py").write_text("raise ImportError('no compiled part')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    remedy = doctor.attempt("fairseq", imported_fairseq).remedy
    assert remedy.startswith("fairseq cannot be imported (ImportError: no compiled part): run pip install -e")
