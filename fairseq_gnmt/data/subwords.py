"""Deprecated name of the command in `gnmt.commands.subwords`; the next release removes it."""

from gnmt.commands import subwords
from gnmt.commands.command_line import run_alone

if __name__ == "__main__":
    run_alone(subwords, "python -m fairseq_gnmt.data.subwords")
