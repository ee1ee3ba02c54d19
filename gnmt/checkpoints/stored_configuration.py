"""Configuration in a checkpoint, which must not refer to variables or URLs outside the checkpoint."""

import re
from argparse import Namespace
from pathlib import Path
from typing import Any, Iterator, Mapping, Tuple, Union

from gnmt.errors import UserError

READ_SECTIONS = ("model", "task", "bpe", "tokenizer", "scoring", "generation")  # their files are opened for translation
URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
REFERENCE = re.compile(r"\$\{\.*[A-Za-z_]\w*(\.\w+)*\}")  # reference to another value of the configuration


def check_config(config: Any, path: Union[str, Path]) -> None:
    """Checks a configuration for references to values outside the checkpoint, such as ${oc.env:HOME}.

    Args:
        config: stored configuration.
        path: file, for errors.

    Raises:
        UserError: if there is a reference.
    """
    for keys, value in texts(config):
        if "${" in REFERENCE.sub("", value):
            raise UserError(
                f"{path} has {value!r:.80} as its cfg, {', '.join(keys)}: the configuration of a checkpoint is not "
                "looked up elsewhere. Give the option itself, or use another checkpoint."
            )


def check_no_urls(config: Mapping[str, Any], given: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Checks a configuration for URLs.

    Args:
        config: stored configuration.
        given: options that replace stored options; they are not checked.
        path: file, for errors.

    Raises:
        UserError: if there is a URL.
    """
    for section in READ_SECTIONS:
        for keys, value in texts(config.get(section)):
            if URL.match(value) and keys[-1] not in given:
                raise UserError(
                    f"{path} has the URL {value!r:.80} as its cfg, {section}, {', '.join(keys)}, but files of a "
                    "checkpoint are not downloaded: download the file, and pass its path."
                )


def texts(config: Any, keys: Tuple[str, ...] = ()) -> Iterator[Tuple[Tuple[str, ...], str]]:
    """Yields the strings of a configuration, including keys, each with the path of its keys.

    Args:
        config: configuration, or a part of one.
        keys: path of the part; empty for a whole configuration.
    """
    if isinstance(config, str):
        yield keys or ("",), config
    elif isinstance(config, Namespace):
        yield from texts(vars(config), keys)
    elif isinstance(config, dict):
        for key, value in config.items():
            yield from texts(value, (*keys, str(key)))
            yield (*keys, str(key)), str(key)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from texts(value, keys)
