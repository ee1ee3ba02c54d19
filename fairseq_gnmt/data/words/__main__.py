"""Deprecated name of the command `gnmt.tokenizers.words`; it goes in the next release."""
from gnmt.commands.process import run_command
from gnmt.tokenizers.words import main

if __name__ == "__main__":
    run_command(main)
