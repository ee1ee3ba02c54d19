"""Tests the wheel: its files, against the checkout, and an installation without fairseq."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import List

import fairseq
import fairseq_cli
import pytest
from commands import ROOT
from model_folders import make_model_folder
from test_user_dir import CHECK

SOURCES = ("gnmt", "fairseq_gnmt", "pyproject.toml", "setup.py", "README.md", "LICENSE")
MODULES = "from pathlib import Path; import gnmt; print(Path(gnmt.__file__).parent)"


def run(*command, cwd: Path, **environment) -> subprocess.CompletedProcess:
    """Runs a command without this checkout on Python's path."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        encoding="utf-8",
    )


def succeed(*command, cwd: Path, **options) -> str:
    done = run(*command, cwd=cwd, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Fixture: a wheel built from a copy, because setuptools writes into the source folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    succeed(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder / "dist",
        folder,
        cwd=folder,
    )
    (built,) = (folder / "dist").iterdir()
    return built


def test_the_wheel_holds_the_files_of_both_packages(wheel):
    expected = {
        str(path.relative_to(ROOT))
        for package in ("gnmt", "fairseq_gnmt")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


def test_the_plugin_is_found_by_its_name_where_it_is_installed(wheel, tmp_path):
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for package in (fairseq, fairseq_cli):  # fairseq looks for a user-dir beside itself
        folder = Path(package.__file__).parent
        shutil.copytree(folder, site / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    load = "utils.import_user_module(argparse.Namespace(user_dir='fairseq_gnmt'))"
    code = f"{CHECK.format(load=load)}\nimport fairseq_gnmt; print(fairseq_gnmt.__file__)"
    printed = succeed(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(printed.splitlines()[-1]).resolve() == site / "fairseq_gnmt" / "__init__.py"


@pytest.fixture(scope="module")
def installation(wheel, tmp_path_factory) -> Path:
    """Fixture: a new virtual environment in which pip has installed only the wheel."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    succeed(folder / "bin/python", "-m", "pip", "install", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder


def installed_packages(installation: Path) -> List[str]:
    lines = succeed(installation / "bin/python", "-m", "pip", "list", "--format=freeze", cwd=installation).splitlines()
    return [line.split("==")[0] for line in lines]


@pytest.mark.slow  # pip installs torch
@pytest.mark.timeout(1800)
def test_an_installation_without_fairseq_translates(installation, tmp_path, capfd):
    packages = installed_packages(installation)
    size = sum(path.stat().st_size for path in installation.rglob("*") if path.is_file() and not path.is_symlink())
    with capfd.disabled():
        print(f"\n{len(packages)} packages, {size / 2**20:.0f} MiB: {' '.join(packages)}")
    assert not {"fairseq", "ve-fairseq", "hydra-core", "omegaconf"} & set(packages)

    gnmt, model = installation / "bin/gnmt", make_model_folder(tmp_path / "model")
    assert Path(succeed(installation / "bin/python", "-c", MODULES, cwd=tmp_path).strip()).is_relative_to(installation)
    (tmp_path / "text").write_text("the dog runs .\n\na cat sees the dog .\n", encoding="utf-8")
    expected = run(sys.executable, "-m", "gnmt", "translate", model, tmp_path / "text", cwd=ROOT).stdout
    translated = succeed(gnmt, "translate", model, tmp_path / "text", cwd=tmp_path)
    assert translated == expected and translated.count("\n") == 3 and len(translated) > 3
    assert "en to de" in succeed(gnmt, "info", model, cwd=tmp_path)
    assert "fairseq: not installed" in succeed(gnmt, "doctor", model, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert run(installation / "bin/python", "-c", "import fairseq_gnmt", cwd=tmp_path).returncode != 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_training_without_fairseq_names_the_extra(installation, tmp_path):
    for split in ("train", "valid", "test"):
        for language in ("en", "de"):
            lines = [f"one two {split} {number}\n" for number in range(20)]
            (tmp_path / f"{split}.{language}").write_text("".join(lines), encoding="utf-8")
    prepare = ["prepare", "--source-lang", "en", "--target-lang", "de", "--segmentation", "word", "--output", "data"]
    prepare += ["--train", "train", "--valid", "valid", "--test", "test"]
    message = "error: This command needs the package fairseq: run pip install -e '.[fairseq]' in the checkout of fairseq-gnmt.\n"
    done = run(installation / "bin/gnmt", *prepare, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
    succeed(sys.executable, "-m", "gnmt", *prepare, cwd=tmp_path, PYTHONPATH=str(ROOT))
    done = run(installation / "bin/gnmt", "train", "data", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
