"""Command line of the scripts that download a corpus."""

import argparse
from pathlib import Path
from typing import Sequence

from gnmt.commands.process import run_command
from gnmt.corpora.download import RemoteFile, download, given_sums, is_address, link_local
from gnmt.errors import UserError


def _parser(description: str, directory: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(directory), help="the archives go to OUTPUT/archives")
    parser.add_argument("--mirror", metavar="URL", help="base address that takes the place of the original hosts")
    parser.add_argument("--from-directory", type=Path, metavar="DIR", help="use the files in DIR; nothing is fetched")
    parser.add_argument("--checksums", type=Path, metavar="FILE", help="sums that must match, as sha256sum writes them")
    return parser


def main(files: Sequence[RemoteFile], description: str, directory: str) -> None:
    """Downloads or links the files as the command line says; raises UserError."""
    args = _parser(description, directory).parse_args()
    archives = args.output / "archives"
    given = given_sums(args.checksums, files)
    if args.mirror is not None and not is_address(args.mirror):
        raise UserError(f"--mirror {args.mirror} is no http(s) address: for files on disk use --from-directory.")
    if args.from_directory:
        link_local(files, archives, args.from_directory, given)
    else:
        download(files, archives, args.mirror, given)


def command_line(files: Sequence[RemoteFile], description: str, directory: str) -> None:
    """Runs a download command as a process of its own."""
    run_command(lambda: main(files, description, directory))
