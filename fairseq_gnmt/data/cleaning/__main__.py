"""Deprecated name of the command `gnmt.corpora.cleaning`; it goes in the next release."""
from gnmt.commands.process import run_command
from gnmt.corpora.cleaning import main

if __name__ == "__main__":
    run_command(main)
