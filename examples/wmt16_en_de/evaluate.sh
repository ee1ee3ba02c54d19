#!/usr/bin/env bash
# Stage 5: translates newstest2014 (or newstest2015 + newstest2016: --subset valid) and scores it.
#
#   bash examples/wmt16_en_de/evaluate.sh [--output DIR] [--checkpoint FILE] [--subset test|valid] [-- options of fairseq-generate]
#
# Options: see examples/translate_and_score.sh. --output defaults to outputs/wmt16_en_de.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../translate_and_score.sh" --output outputs/wmt16_en_de "$@"
