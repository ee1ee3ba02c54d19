"""Deprecated name of the command in `gnmt.commands.words`; the next release removes it."""

from gnmt.commands import words
from gnmt.commands.command_line import run_alone

if __name__ == "__main__":
    run_alone(words, "python -m fairseq_gnmt.data.words")
