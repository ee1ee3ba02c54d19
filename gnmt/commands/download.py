"""Command line of the scripts that download a corpus."""

import argparse
from pathlib import Path
from typing import Sequence

from gnmt.commands.process import run_command
from gnmt.corpora.download import RemoteFile, download, given_sums, is_address, link_local
from gnmt.errors import UserError


def _parser(description: str, directory: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--output", type=Path, default=Path(directory), help="folder to write; archives are in OUTPUT/archives"
    )
    parser.add_argument("--mirror", metavar="URL", help="base URL that replaces the original hosts")
    parser.add_argument(
        "--from-directory", type=Path, metavar="DIR", help="use the files in DIR instead of downloading"
    )
    parser.add_argument("--checksums", type=Path, metavar="FILE", help="required checksums, in the format of sha256sum")
    return parser


def main(files: Sequence[RemoteFile], description: str, directory: str) -> None:
    """Downloads or links the files according to the command line.

    Args:
        files: files of the corpus.
        description: description in the help.
        directory: default folder.

    Raises:
        UserError: if --mirror is not a URL, or a file is missing or damaged.
    """
    args = _parser(description, directory).parse_args()
    archives = args.output / "archives"
    given = given_sums(args.checksums, files)
    if args.mirror is not None and not is_address(args.mirror):
        raise UserError(f"--mirror {args.mirror} is not an http(s) address: for files on disk use --from-directory.")
    if args.from_directory:
        link_local(files, archives, args.from_directory, given)
    else:
        download(files, archives, args.mirror, given)


def command_line(files: Sequence[RemoteFile], description: str, directory: str) -> None:
    """Runs a download command as the only command of this process.

    Args:
        files: files of the corpus.
        description: description in the help.
        directory: default folder.
    """
    run_command(lambda: main(files, description, directory))
