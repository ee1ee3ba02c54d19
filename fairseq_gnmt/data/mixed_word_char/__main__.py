"""Deprecated name of the command `gnmt.tokenizers.mixed_word_char`; it goes in the next release."""
from gnmt.commands.process import run_command
from gnmt.tokenizers.mixed_word_char import main

if __name__ == "__main__":
    run_command(main)
