"""A checkout with simulated interpreters, so that tests of scripts/environment.sh install nothing."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]
TOOLS = (
    "awk",
    "bash",
    "cat",
    "cp",
    "df",
    "dirname",
    "env",
    "flock",
    "grep",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sleep",
    "tail",
)

# An interpreter named "3.11 Linux x86_64". It makes environments that hold itself; its pip notes the call in PIP_CALLS and
# then runs the shell command FAKE_PIP with $log set to the file given by --log. Other code goes to the real Python.
SIMULATED_PYTHON = """#!/bin/bash
case "$*" in
    *platform*) echo "{description}" ;;
    *ensurepip*) exit {venv_module_missing} ;;
    "-m venv "*) mkdir -p "$3/bin" && cp -- "$0" "$3/bin/python" ;;
    "-m pip "*) echo "$*" >> "$PIP_CALLS"; log="$6"; eval "$FAKE_PIP" ;;
    *) exec {python} "$@" ;;
esac
"""


class Checkout:
    """A folder with the files that environment.sh reads, and a PATH with the chosen interpreters only."""

    def __init__(self, folder: Path):
        self.root = folder / "check out"
        self.bin = folder / "bin"
        self.calls = folder / "pip calls"
        self.calls.touch()
        self.bin.mkdir()
        (self.root / "scripts").mkdir(parents=True)
        for name in ("scripts/environment.sh", "scripts/test.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            program = shutil.which(tool)
            if program:
                (self.bin / tool).symlink_to(program)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def pip_calls(self) -> List[str]:
        return self.calls.read_text().splitlines()

    def add_program(self, name: str, text: str) -> Path:
        program = self.bin / name
        program.unlink(missing_ok=True)
        program.write_text(text)
        program.chmod(0o755)
        return program

    def add_python(self, name: str, description: str = "3.11 Linux x86_64", venv_module_missing: int = 0) -> Path:
        text = SIMULATED_PYTHON.format(
            description=description, venv_module_missing=venv_module_missing, python=sys.executable
        )
        return self.add_program(name, text)

    def environment(self, fake_pip: str, python: Optional[Path]) -> Dict[str, str]:
        variables = {"PATH": str(self.bin), "PIP_CALLS": str(self.calls), "FAKE_PIP": fake_pip}
        return {**variables, "PYTHON": str(python)} if python else variables

    def run(
        self,
        fake_pip: str = "true",
        python: Optional[Path] = None,
        script: str = "environment.sh",
        arguments: Sequence[str] = (),
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", str(self.root / "scripts" / script), *arguments],
            env=self.environment(fake_pip, python),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def error_message(self, fake_pip: str = "true", python: Optional[Path] = None) -> str:
        """Runs a command that must fail; returns the only line of its stderr."""
        result = self.run(fake_pip, python)
        assert result.returncode != 0 and result.stderr.startswith("environment.sh: ")
        assert result.stderr.count("\n") == 1
        return result.stderr
