"""Deprecated name of the command in `gnmt.commands.mixed_word_char`; the next release removes it."""

from gnmt.commands import mixed_word_char
from gnmt.commands.command_line import run_alone

if __name__ == "__main__":
    run_alone(mixed_word_char, "python -m fairseq_gnmt.data.mixed_word_char")
