"""Deprecated name of the command `gnmt.corpora.cooccurrence`; it goes in the next release."""
from gnmt.commands.process import run_command
from gnmt.corpora.cooccurrence import main

if __name__ == "__main__":
    run_command(main)
