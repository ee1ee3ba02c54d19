"""Deprecated name of the command in `gnmt.commands.cooccurrence`; the next release removes it."""

from gnmt.commands import cooccurrence
from gnmt.commands.command_line import run_alone

if __name__ == "__main__":
    run_alone(cooccurrence, "python -m fairseq_gnmt.data.cooccurrence")
