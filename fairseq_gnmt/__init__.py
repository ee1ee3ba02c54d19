"""GNMT for fairseq: pass this folder as --user-dir, or import the package.

fairseq imports only tasks/ and models/ of a user-dir, and nothing from a package that is already imported. All
components are therefore registered here, for both ways of loading.
"""

import sys

import gnmt

__version__ = "0.1.0"

if getattr(gnmt, "__version__", None) != __version__:  # for example, a checkout and an installed package
    sys.exit(
        f"error: fairseq_gnmt {__version__} needs gnmt {__version__}, but {gnmt.__file__} is "
        f"{getattr(gnmt, '__version__', 'of no version')}: install or check out both from one release."
    )

from fairseq_gnmt import patches

patches.apply()

from fairseq_gnmt import criterions, optim, scoring, segmentation  # noqa: E402, F401
from fairseq_gnmt.models import gnmt as _models  # noqa: E402, F401
from fairseq_gnmt.tasks import gnmt_translation  # noqa: E402, F401
