"""Runs lines of bash blocks in this process, with the pipes and redirections that the documentation uses."""

import os
import shlex
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from commands import PLUGIN, succeed
from pages import blocks

from gnmt.__main__ import MODULES
from gnmt.commands.command_line import run_module

TYPED = b"the dog sees the house today .\n"


class Command(NamedTuple):
    """One command of a pipe."""

    words: List[str]
    source: Optional[str]  # file of `<`
    target: Optional[str]  # file of `>`


def commands_of(page: Path) -> List[List[Command]]:
    """Returns the pipes of all bash blocks of a page."""
    lines = [line for block in blocks(page, "bash") for line in block.text.replace("\\\n", " ").splitlines()]
    return [pipe for pipe in map(parsed, lines) if pipe]


def parsed(line: str) -> List[Command]:
    """Returns the commands of a line, none for a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="<>|")
    lexer.whitespace_split = True
    pipe, words = [Command([], None, None)], iter(lexer)
    for word in words:
        if word == "|":
            pipe.append(Command([], None, None))
        elif word in ("<", ">"):
            pipe[-1] = pipe[-1]._replace(**{"source" if word == "<" else "target": next(words)})
        else:
            pipe[-1].words.append(word)
    return pipe if pipe[0].words else []


def run_pipe(pipe: List[Command], added: Dict[str, str]) -> str:
    """Runs the commands of a pipe one after the other; returns the output of the last.

    TYPED is the input of the first command. `added` has options for commands that begin with the given words.
    """
    text = TYPED
    for command in pipe:
        if command.source:
            text = Path(command.source).read_bytes()
        line = " ".join(command.words)
        further = next((options.split() for start, options in added.items() if line.startswith(start)), [])
        program, *arguments = command.words
        text = output_of(program, [*arguments, *further], text)
        if command.target:
            Path(command.target).write_bytes(text)
            text = b""
    return text.decode("utf-8")


def output_of(program: str, arguments: List[str], stdin: bytes) -> bytes:
    if program == "echo":
        return f"{' '.join(arguments)}\n".encode()
    if program == "gnmt":
        return gnmt(arguments, stdin)
    options = [
        str(PLUGIN) if word == PLUGIN.name else word for word in arguments
    ]  # the program is installed in place and needs its path
    return succeed(program.removeprefix("fairseq-"), *options, stdin=stdin, cwd=Path.cwd()).encode()


def gnmt(words: List[str], stdin: bytes) -> bytes:
    """Returns the output of a `gnmt` command, which also gets new standard streams 0 and 1."""
    name, *arguments = words
    module = import_module(f"gnmt.commands.{MODULES.get(name, name)}")
    saved, streams = [os.dup(0), os.dup(1)], (sys.stdin, sys.stdout)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(stdin)
        source.seek(0)
        os.dup2(source.fileno(), 0)
        os.dup2(target.fileno(), 1)
        sys.stdin, sys.stdout = (
            open(number, mode, encoding="utf-8", closefd=False) for number, mode in ((0, "r"), (1, "w"))
        )
        try:
            run_module(module, f"gnmt {name}", arguments)
            sys.stdout.flush()
        finally:
            sys.stdin, sys.stdout = streams
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
                os.close(descriptor)
        target.seek(0)
        return target.read()
