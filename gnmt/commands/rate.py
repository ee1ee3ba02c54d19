"""Collects human ratings of translations, side by side, from 0 (nonsense) to 6 (perfect), as in the GNMT paper.

    gnmt rate prepare test.en test.de baseline.de new.de --items 500 --raters 3 --output campaign
    gnmt rate serve campaign
    gnmt rate report campaign --picture histogram.png
    gnmt rate export campaign --format csv --output ratings.csv

`prepare` samples sentences, and stores the names of the systems in campaign/key.json, which is never served. `serve`
prints a personal link for each rater. Raters can stop and resume at any time.
"""

import argparse
import secrets
from pathlib import Path
from typing import Dict, List, Sequence

from gnmt.commands.rating_tables import tables
from gnmt.commands.report import check_output, write_json
from gnmt.commands.system_names import system_names
from gnmt.errors import UserError
from gnmt.evaluation.rating import drawing
from gnmt.evaluation.rating.campaign import Rater, read_campaign, read_key, read_raters, write_campaign
from gnmt.evaluation.rating.export import as_csv, as_pearmut
from gnmt.evaluation.rating.report import report
from gnmt.evaluation.rating.storage import ratings_of
from gnmt.evaluation.system_output import read_output
from gnmt.extras import remedy
from gnmt.files.folders import complete_folder
from gnmt.files.lines import read_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.ranges import Range

REFERENCE = "reference"  # name of the human translation among the systems
TOKEN_BYTES = 24
RANGES = {
    "items": Range(minimum=1, maximum=100_000),
    "raters": Range(minimum=1, maximum=100),
    "repeated": Range(minimum=0, maximum=1),
    "controls": Range(minimum=0, maximum=1),
}
PORTS = Range(minimum=0, maximum=65535)
FORMATS = {"csv": as_csv, "pearmut": as_pearmut}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="sample the sentences of a campaign")
    prepare.add_argument("source", type=Path, metavar="SOURCE", help="sentences, one per line")
    prepare.add_argument("reference", type=Path, metavar="REFERENCE", help="human translations, for controls")
    prepare.add_argument(
        "systems", type=Path, nargs="+", metavar="SYSTEM", help="translations; the first is the baseline"
    )
    prepare.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the campaign")
    prepare.add_argument("--names", nargs="+", metavar="NAME", help="names of the systems (default: file names)")
    prepare.add_argument("--rate-reference", action="store_true", help="rate the human translations too")
    prepare.add_argument(
        "--items",
        type=int,
        default=drawing.DEFAULT_ITEMS,
        metavar="N",
        help=f"number of sentences to rate (default: {drawing.DEFAULT_ITEMS})",
    )
    prepare.add_argument(
        "--raters", type=int, default=2, metavar="N", help="number of raters; each rates all items (default: 2)"
    )
    prepare.add_argument(
        "--repeated", type=float, default=0.05, metavar="SHARE", help="share of items shown twice (default: 0.05)"
    )
    prepare.add_argument(
        "--controls", type=float, default=0.03, metavar="SHARE", help="share of control items (default: 0.03)"
    )
    prepare.add_argument("--seed", type=int, default=1, metavar="N", help="random seed (default: 1)")
    prepare.add_argument("--source-lang", default="", metavar="TAG", help="language of the source, for screen readers")
    prepare.add_argument("--target-lang", default="", metavar="TAG", help="language of the translations")

    serve = commands.add_parser("serve", help="serve the page of a campaign")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=int, default=5001, metavar="N", help="port to listen on; 0: any free port (default: 5001)"
    )
    serve.add_argument("--url", default="", help="public URL for raters (default: from host and port)")

    show = commands.add_parser("report", help="summarise the ratings")
    show.add_argument("--json", type=Path, metavar="FILE", help="JSON file with all numbers")
    show.add_argument("--picture", type=Path, metavar="FILE.png", help="histogram of scores; needs matplotlib")

    export = commands.add_parser("export", help="write the ratings, or the campaign for another tool")
    export.add_argument("--format", choices=list(FORMATS), required=True,
                        help="csv: the ratings; pearmut: the campaign for the rating tool Pearmut")  # fmt: skip
    export.add_argument("--output", type=Path, required=True, metavar="FILE")
    for command in (serve, show, export):
        command.add_argument("folder", type=Path, metavar="DIR", help="folder of the campaign")
    for command in (show, export):
        command.add_argument("--overwrite", action="store_true", help="replace existing files")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    commands = {"prepare": prepare_campaign, "serve": serve_campaign, "report": show_report, "export": export_campaign}
    commands[arguments.command](arguments)


def prepare_campaign(arguments: argparse.Namespace) -> None:
    """Samples the items, and writes the folder of the campaign."""
    for name, accepted in RANGES.items():
        accepted.check(name, getattr(arguments, name))
    texts = read_texts(arguments)
    sizes = drawing.sizes_of(arguments.items, arguments.repeated, arguments.controls)
    raters = [Rater(f"rater-{number}", secrets.token_urlsafe(TOKEN_BYTES)) for number in range(1, arguments.raters + 1)]
    languages = (arguments.source_lang, arguments.target_lang)
    with complete_folder(arguments.output, replaces=lambda folder: False) as folder:
        campaign, key = drawing.draw(texts, sizes, arguments.seed, languages)
        write_campaign(folder, campaign, key, raters)
    control_items = "1 control" if sizes.controls == 1 else f"{sizes.controls} controls"
    print(
        f"{arguments.output}: {sizes.rated} sentences, {sizes.repeated} of them twice, and {control_items} for {len(raters)} "
        f"raters; `gnmt rate serve {arguments.output}` prints their links"
    )


def read_texts(arguments: argparse.Namespace) -> drawing.Texts:
    """Reads the sentences and all translations.

    Raises:
        UserError: if the files have different numbers of lines, or there are fewer than two systems.
    """
    names = system_names(arguments.systems, arguments.names)
    sources, references = read_lines(arguments.source), read_lines(arguments.reference)
    outputs: Dict[str, Sequence[str]] = {name: read_output(path).texts for name, path in zip(names, arguments.systems)}
    for path, lines in zip((arguments.reference, *arguments.systems), (references, *outputs.values())):
        if len(lines) != len(sources):
            raise UserError(
                f"{path} has {len(lines)} lines for {len(sources)} sources: give files of the same sentences."
            )
    if arguments.rate_reference:
        if REFERENCE in outputs:
            raise UserError(f"A system has the name {REFERENCE}, which --rate-reference needs: give other --names.")
        outputs[REFERENCE] = references
    if len(outputs) < 2:
        raise UserError("There is one system, but side-by-side rating needs two: give another, or --rate-reference.")
    return drawing.Texts(sources, references, outputs)


def serve_campaign(arguments: argparse.Namespace) -> None:
    """Serves the page until the process ends."""
    PORTS.check("port", arguments.port)
    try:
        from gnmt.evaluation.rating.server import serve
    except ModuleNotFoundError as error:
        raise UserError(f"The page of raters needs the package {error.name}: {remedy('serve')}.") from error
    serve(arguments.folder, arguments.host, arguments.port, arguments.url)


def show_report(arguments: argparse.Namespace) -> None:
    """Prints the tables, and writes the JSON and the picture."""
    check_output(arguments.json, arguments.overwrite)
    if arguments.picture:
        from gnmt.plots.pictures import check_pictures, to_png
        from gnmt.plots.rating_histogram import draw

        check_pictures([arguments.picture])
    campaign = read_campaign(arguments.folder)
    key = read_key(arguments.folder, campaign)
    results = report(campaign, key, ratings_of(arguments.folder, campaign))
    for table in tables(results):
        print(f"{table}\n")
    if arguments.json:
        write_json(arguments.json, results)
    if arguments.picture:
        with atomic_outputs([arguments.picture], inputs=[], overwrite=arguments.overwrite) as (file,):
            file.write(to_png(draw(results["histogram"])))
        print(f"{arguments.picture}: histogram of the scores")


def export_campaign(arguments: argparse.Namespace) -> None:
    """Writes the ratings or the campaign in another format."""
    campaign = read_campaign(arguments.folder)
    key = read_key(arguments.folder, campaign)
    raters: List[Rater] = read_raters(arguments.folder)
    ratings = ratings_of(arguments.folder, campaign)
    with atomic_outputs([arguments.output], inputs=[], overwrite=arguments.overwrite) as (file,):
        file.write(FORMATS[arguments.format](campaign, key, raters, ratings).encode("utf-8"))
    print(
        f"{arguments.output}: {len(ratings)} ratings" if arguments.format == "csv" else f"{arguments.output}: written"
    )
