"""Runs of fairseq's commands in separate processes, without importing fairseq for each.

A server process imports fairseq, but not the plugin, once; each command runs in a fork of it, which loads the plugin by
--user-dir. `installed` runs the real command from PATH.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Union

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "fairseq_gnmt"
MODULES = {
    name: f"fairseq_cli.{name.replace('-', '_')}"
    for name in ("train", "generate", "interactive", "preprocess", "validate")
}
MODULES["hydra-train"] = "fairseq_cli.hydra_train"
MINUTES = 5  # longer runs count as hanging

os.environ.setdefault("OMP_NUM_THREADS", "1")
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([*MODULES.values(), "sacrebleu", "sentencepiece"])


class Done(NamedTuple):
    """Result of a command; the exit code is negative for a signal."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


class Running:
    """A running command."""

    def __init__(
        self,
        name: str,
        arguments: tuple,
        stdin: Union[str, bytes],
        cwd: Path,
        before: Optional[Callable[[], None]],
    ):
        self._streams = tempfile.TemporaryDirectory()
        folder = Path(self._streams.name)
        (folder / "stdin").write_bytes(encoded(stdin))
        target = (name, [str(argument) for argument in arguments], folder, cwd, before)
        self.process = _server.Process(target=_run, args=target)
        self.process.start()

    def output(self) -> str:
        """Returns the standard output so far."""
        return self._printed("stdout")

    def wait_for(self, words: str) -> None:
        """Waits until the given text is printed to a stream; fails if the command ends first."""
        deadline = time.monotonic() + 60 * MINUTES
        alive = True  # state before the last read, so that text printed at the end is not missed
        while words not in (text := self._printed("stdout") + self._printed("stderr")):
            assert alive and time.monotonic() < deadline, text[-4000:]
            alive = self.process.is_alive()
            time.sleep(0.02)

    def _printed(self, stream: str) -> str:
        path = Path(self._streams.name, stream)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def finish(self) -> Done:
        self.process.join(60 * MINUTES)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        texts = [Path(self._streams.name, stream).read_text(encoding="utf-8") for stream in ("stdout", "stderr")]
        self._streams.cleanup()
        return Done(self.process.exitcode, *texts)


def encoded(stdin: Union[str, bytes]) -> bytes:
    return stdin.encode("utf-8") if isinstance(stdin, str) else stdin


def start(
    name: str, *arguments, stdin: Union[str, bytes] = "", cwd: Path = ROOT, before: Optional[Callable[[], None]] = None
):
    """Starts fairseq-<name> with the given arguments; `before` is called in its process first."""
    return Running(name, arguments, stdin, cwd, before)


def run(name: str, *arguments, **options) -> Done:
    return start(name, *arguments, **options).finish()


def succeed(name: str, *arguments, **options) -> str:
    """Runs a command and returns its standard output; fails the test unless the exit code is 0."""
    done = run(name, *arguments, **options)
    assert done.code == 0, done.text[-4000:]
    return done.stdout


def in_a_fork(name: str, arguments: list, environment=None, log=None, shorten=None) -> None:
    """Replaces `run_fairseq` and `run_fairseq_quietly` by a fork, which need not import fairseq again."""
    done = run(name, *arguments, cwd=Path.cwd())
    for line in done.stdout.splitlines() if shorten else []:
        if (text := shorten(line)) is not None:
            print(text)
    if log is not None:
        log.parent.mkdir(exist_ok=True, parents=True)
        log.write_text(log.read_text() + done.stdout if log.exists() else done.stdout)
    if done.code:
        sys.exit(done.code)


def script(name: str, *arguments, stdin: str = "") -> Done:
    """Runs a Python program of scripts/ in a new interpreter."""
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8")
    return Done(done.returncode, done.stdout, done.stderr)


def installed(
    name: str, *arguments, cwd: Path = ROOT, stdin: Union[str, bytes] = "", environment: Optional[Dict[str, str]] = None
) -> Done:
    """Runs the command that pip has installed in a new process, with `environment` added to the environment variables."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(name)), *map(str, arguments)],
        cwd=cwd,
        input=encoded(stdin),
        capture_output=True,
        timeout=60 * MINUTES,
        env={**os.environ, **(environment or {})},
    )
    return Done(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def _run(name: str, arguments: list, folder: Path, cwd: Path, before: Optional[Callable[[], None]]) -> None:
    for descriptor, stream, flags in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_WRONLY | os.O_CREAT),
        (2, "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(folder / stream, flags), descriptor)
    sys.stdin = open(0, encoding="utf-8")  # multiprocessing has closed the original stdin
    multiprocessing.set_start_method("fork", force=True)  # streams for its workers, as in a real command
    sys.argv = [f"fairseq-{name}", *arguments]
    os.chdir(cwd)
    try:
        if before is not None:
            before()
        importlib.import_module(MODULES[name]).cli_main()
    except SystemExit:
        raise
    except BaseException:  # the interpreter does this at exit, multiprocessing does not
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
