"""Tests rules for imports between folders (docs/development.md), and that both packages have one version."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A folder of the plugin may import itself, the folders listed here and the core. All may import `errors`, `extras`, `machine`, `precision` and `ranges`.
PLUGIN = {
    "models": {"data", "fairseq_option_checks", "fairseq_options"},
    "trainers": {"models", "optim"},
    "optim": set(),
    "scoring": set(),
    "data": set(),
    "interop": {"models"},
    "search": {"models", "data"},
    "rewards": {"segmentation"},
    "criterions": {"models", "rewards"},
    "segmentation": set(),
    "asynchronous": set(),
    "patches": {"asynchronous", "data", "fairseq_option_checks", "fairseq_options", "optim", "trainers"},
    "tasks": {
        "models",
        "search",
        "data",
        "segmentation",
        "patches",
        "memory_allocation",
        "fairseq_option_checks",
        "fairseq_options",
    },
}
# The same rule for the core, in ascending order.
CORE = {
    "files": set(),
    "network": set(),
    "quantization": {"network"},
    "inference": {"network", "quantization"},
    "search": {"inference", "network", "quantization"},
    "tokenizers": {"files"},
    "corpora": {"files", "tokenizers"},
    "checkpoints": {"files", "network", "quantization", "tokenizers"},
    "translation": {"checkpoints", "files", "search", "tokenizers"},
    "training": {"corpora", "files"},
    "losses": {"network", "training"},
    "plots": {"files", "tokenizers", "training"},
    "serving": {"checkpoints", "files", "search", "tokenizers", "translation", "translator"},
    "evaluation": {"files", "serving"},
    "bulk": {"checkpoints", "files", "search", "translation", "translator"},
    "commands": {
        "bulk",
        "checkpoints",
        "corpora",
        "evaluation",
        "files",
        "network",
        "plots",
        "search",
        "serving",
        "tokenizers",
        "training",
        "translation",
        "translator",
    },
}
PACKAGES = {"fairseq_gnmt": PLUGIN, "gnmt": CORE}


def imported_modules(path: Path) -> set:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def imported_parts(path: Path, package: str) -> set:
    """Returns the folders and modules of a package that a file imports."""
    return {name.split(".")[1] for name in imported_modules(path) if name.startswith(f"{package}.")}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_has_its_place(package):
    folders = {path.parent.name for path in (ROOT / package).glob("*/*.py")}
    assert folders == set(PACKAGES[package])


def test_the_tests_mirror_the_packages():
    for folder, package in (("core", "gnmt"), ("plugin", "fairseq_gnmt")):
        mirrored = {path.parent.name for path in (ROOT / "tests" / folder).glob("*/*.py")}
        assert mirrored <= set(PACKAGES[package]), folder
    assert {path.name for path in (ROOT / "tests").glob("test_*.py")} == {"test_collection.py", "test_layout.py"}


def test_the_core_imports_neither_fairseq_nor_the_plugin():
    for path in (ROOT / "gnmt").rglob("*.py"):
        packages = {name.split(".")[0] for name in imported_modules(path)}
        assert not packages & {"fairseq", "fairseq_cli", "fairseq_gnmt", "omegaconf", "hydra"}, path


def test_no_message_of_the_core_names_a_command_of_the_plugin():
    """`python -m fairseq_gnmt.data.*` does not exist without fairseq."""
    for path in (ROOT / "gnmt").rglob("*.py"):
        assert "-m fairseq_gnmt" not in path.read_text(encoding="utf-8"), path


@pytest.mark.end_to_end
def test_the_core_needs_neither_fairseq_nor_the_plugin():
    code = "import importlib, pkgutil, sys; sys.modules['fairseq'] = sys.modules['fairseq_gnmt'] = None; import gnmt; "
    code += "[importlib.import_module(m.name) for m in pkgutil.walk_packages(gnmt.__path__, 'gnmt.') if '__main__' not in m.name]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "package, folder", [(package, folder) for package, folders in PACKAGES.items() for folder in sorted(folders)]
)
def test_imports_flow_one_way(package, folder):
    for path in (ROOT / package / folder).rglob("*.py"):
        unexpected = (
            imported_parts(path, package)
            - PACKAGES[package][folder]
            - {folder, "errors", "extras", "machine", "precision", "ranges", "__version__"}
        )
        assert not unexpected, f"{path.name} imports {unexpected}"


def test_both_packages_and_their_distribution_have_one_version():
    import fairseq_gnmt
    import gnmt

    assert gnmt.__version__ == fairseq_gnmt.__version__
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "gnmt.__version__"}


def test_a_core_of_another_version_is_refused_in_one_line():
    code = "import gnmt; gnmt.__version__ = '9.9'; import fairseq_gnmt"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: fairseq_gnmt") and "9.9" in done.stderr
