"""Tests that pyproject.toml and constraints.txt agree with the imports of the code and with each other."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import yaml

import gnmt

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements) -> set:
    """Returns names of distributions, normalised to the spelling of imports."""
    matches = (re.match(r"[\w.-]+", requirement).group() for requirement in requirements)
    return {name.lower().replace("-", "_") for name in matches}


def imported_distributions() -> set:
    modules = set()
    for path in (ROOT / "gnmt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names) - {"gnmt"}


def test_the_dependencies_are_the_packages_that_the_core_imports():
    optional = set().union(*(names(EXTRAS[extra]) for extra in ("bulk", "nvidia", "plots", "ray", "serve")))
    assert imported_distributions() - optional == names(PROJECT["dependencies"])


def test_dev_has_every_other_extra():
    extras = next(requirement for requirement in EXTRAS["dev"] if requirement.startswith("fairseq-gnmt["))
    assert sorted(extras[len("fairseq-gnmt[") : -1].split(",")) == sorted(set(EXTRAS) - {"dev"})


def test_every_requirement_has_a_version_in_the_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = names(line for line in lines if not line.startswith("#"))
    required = names(PROJECT["dependencies"]).union(*map(names, EXTRAS.values())) - {"fairseq_gnmt"}
    assert required <= pinned


def test_the_command_is_a_function_of_the_core():
    from importlib import import_module

    module, function = PROJECT["scripts"]["gnmt"].split(":")
    assert callable(getattr(import_module(module), function))


def test_the_citation_has_the_version_and_the_license_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (gnmt.__version__, PROJECT["license"])


def test_the_hooks_and_the_workflow_name_files_that_exist():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"].split()[0] for hook in hooks] == [".venv/bin/ruff", ".venv/bin/mypy"]
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    scripts = [step["run"].split()[1] for step in jobs["linux"]["steps"] if step.get("run", "").startswith("bash ")]
    assert scripts and all((ROOT / script).exists() for script in scripts)
