"""Deprecated name of the command in `gnmt.commands.clean`; the next release removes it."""

from gnmt.commands import clean
from gnmt.commands.command_line import run_alone

if __name__ == "__main__":
    run_alone(clean, "python -m fairseq_gnmt.data.cleaning")
