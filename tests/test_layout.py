"""Imports flow one way, as the map of the folders in the README promises."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fairseq_gnmt"
# a folder may import those it names and itself; `errors` is everybody's
ALLOWED = {
    "quantization": set(),
    "models": {"quantization", "data", "fairseq_options"},
    "optim": set(),
    "scoring": set(),
    "data": set(),
    "interop": {"models", "data", "quantization", "checkpoint_averaging"},
    "inference": {"models", "quantization"},
    "search": {"models", "inference", "quantization", "data"},
    "rewards": {"segmentation"},
    "criterions": {"models", "search", "rewards"},
    "segmentation": {"data"},
    "patches": {"data", "fairseq_options"},
    "tasks": {"models", "search", "data", "segmentation", "patches", "memory_allocation", "fairseq_options"},
}


def imported_parts(path: Path) -> set:
    """Folders and modules of our package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("fairseq_gnmt.")}


def test_every_folder_has_its_place():
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert folders == set(ALLOWED)


def test_the_core_needs_neither_fairseq_nor_the_plugin():
    code = "import importlib, pkgutil, sys; sys.modules['fairseq'] = sys.modules['fairseq_gnmt'] = None; import gnmt; "
    code += "[importlib.import_module(m.name) for m in pkgutil.walk_packages(gnmt.__path__, 'gnmt.') if '__main__' not in m.name]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_flow_one_way(folder):
    for path in (PACKAGE / folder).glob("*.py"):
        unexpected = imported_parts(path) - ALLOWED[folder] - {folder, "errors"}
        assert not unexpected, f"{path.name} imports {unexpected}"
