"""Stage 1: downloads the archives of WMT16 English-German that NVIDIA's recipe uses to OUTPUT/archives.

No checksums of these archives are published: the first download records them in OUTPUT/archives/SHA256SUMS.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a checkout works without being installed
from gnmt.commands.download import command_line  # noqa: E402
from gnmt.corpora.download import RemoteFile  # noqa: E402

FILES = (
    RemoteFile("http://www.statmt.org/europarl/v7/de-en.tgz"),
    RemoteFile("http://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz"),
    RemoteFile("http://data.statmt.org/wmt16/translation-task/training-parallel-nc-v11.tgz"),
    RemoteFile("http://data.statmt.org/wmt16/translation-task/dev.tgz"),
    RemoteFile("http://data.statmt.org/wmt16/translation-task/test.tgz"),
)

if __name__ == "__main__":
    command_line(FILES, "Download WMT16 English-German.", "outputs/wmt16_en_de")
