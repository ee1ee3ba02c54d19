"""Serves translations over HTTP, with a web page for manual use.

    gnmt serve MODEL
    gnmt serve MODEL-EN-DE MODEL-DE-EN --port 8080 --api-keys keys.txt --requests-per-minute 60

Several models serve several language pairs, which requests select by `source` and `target`. /translate follows the API
of LibreTranslate, /v1/translate returns scores, alignment and attention, and / is the page. By default the server
listens only on this machine (see --host). After SIGTERM it completes running requests. Needs the extra `serve`.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, Tuple

from gnmt.commands.model_options import add_model_options
from gnmt.errors import UserError
from gnmt.extras import remedy
from gnmt.ranges import Range


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    from gnmt.serving.limits import Limits

    add = parser.add_argument
    add("models", type=Path, nargs="+", metavar="MODEL", help="model folders, one per language pair")
    add("--host", default="127.0.0.1", metavar="H", help="address to listen on; 0.0.0.0: all networks")
    add("--port", type=int, default=5000, metavar="N", help="port to listen on; 0: any free port")
    add_model_options(parser, "precision", "device", "threads")
    add("--slots", type=int, default=64, metavar="N", help="number of sentences translated at the same time")
    add(
        "--api-keys",
        type=Path,
        metavar="FILE",
        help="file with lines NAME KEY [REQUESTS-PER-MINUTE]; requests then need a key",
    )
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="origin, such as https://example.org, of pages that may use the server (CORS); repeatable, *: all",
    )
    add(
        "--proxy",
        metavar="ADDRESS",
        help="IP address or network of a reverse proxy whose X-Forwarded-For header identifies clients",
    )
    for limit in dataclasses.fields(Limits):
        flag, kind = f"--{limit.name.replace('_', '-')}", int if limit.type is int else float
        add(flag, type=kind, default=limit.default, metavar="N", help=limit.metadata["help"])


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    import torch

    from gnmt.serving.addresses import check_proxy, origin_of
    from gnmt.serving.limits import Limits

    limits = Limits(**{limit.name: getattr(arguments, limit.name) for limit in dataclasses.fields(Limits)})
    Range(1, 4096).check("slots", arguments.slots)
    Range(0, 65535).check("port", arguments.port)
    if arguments.threads is not None:
        Range(1, 1024).check("threads", arguments.threads)
    if arguments.proxy is not None:
        check_proxy(arguments.proxy)
    origins = [origin_of(url) for url in arguments.allow_origin]
    try:
        from gnmt.serving.server import bind, is_loopback, run_server
    except ImportError as error:
        raise UserError(f"This command needs {error.name}: {remedy('serve')}.") from error
    from gnmt.serving.application import Settings, make_application
    from gnmt.serving.keys import read_keys
    from gnmt.serving.memory import bound_product_cache
    from gnmt.serving.pairs import check_pairs

    keys = read_keys(arguments.api_keys) if arguments.api_keys else []
    for model in arguments.models:
        if not model.is_dir():
            raise UserError(f"{model} is not a model folder: `gnmt export` makes one.")
    check_pairs([languages_of(model) for model in arguments.models])
    bound_product_cache()
    bound = bind(arguments.host, arguments.port)
    if not keys and not is_loopback(bound):
        print(f"warning: {arguments.host} accepts other machines without a key: give --api-keys FILE.", file=sys.stderr)
    threads = torch.get_num_threads() if arguments.threads is None else arguments.threads
    translators = [load(model, arguments) for model in arguments.models]
    settings = Settings(limits, keys, origins, arguments.slots, threads)
    run_server(make_application(translators, settings), bound, limits, arguments.proxy)


def languages_of(model: Path) -> Tuple[str, str]:
    """Returns the source and target language of a model folder, without its weights."""
    from gnmt.checkpoints.model_config import ModelConfig, read_config
    from gnmt.checkpoints.model_folder import CONFIG

    config = read_config(model / CONFIG, ModelConfig)
    return config.source_language, config.target_language


def load(model: Path, arguments: argparse.Namespace) -> Any:
    """Returns the translator of a model folder, loaded with one torch thread: the engine starts the others.

    Args:
        model: model folder.
        arguments: options of the command, of which precision and device are used.
    """
    from gnmt.translator import Translator

    return Translator.from_pretrained(model, precision=arguments.precision, device=arguments.device, threads=1)
