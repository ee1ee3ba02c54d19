"""GNMT: recurrent neural machine translation, without fairseq.

    from gnmt import Translator

    translator = Translator.from_pretrained("MODEL")
    translator.translate(["Two dogs play in the snow."])[0].text

The import has no side effects and is fast; torch is imported at the first use of `Translator`.
"""

from importlib import import_module
from typing import Any, List

__version__ = "0.1.0"
__all__ = ["Translation", "Translator", "__version__"]

_LAZY = {"Translation": "gnmt.translation.results", "Translator": "gnmt.translator"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gnmt' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
