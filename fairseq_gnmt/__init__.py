"""GNMT for fairseq: pass this folder as --user-dir, or import it.

fairseq imports only tasks/ and models/ of a user-dir, and nothing of a package that is imported already, so
everything is registered here, whichever way the package is loaded.
"""
from fairseq_gnmt import patches

patches.apply()

from fairseq_gnmt import criterions, optim, scoring, segmentation  # noqa: E402, F401
from fairseq_gnmt.models import gnmt  # noqa: E402, F401
from fairseq_gnmt.tasks import gnmt_translation  # noqa: E402, F401
