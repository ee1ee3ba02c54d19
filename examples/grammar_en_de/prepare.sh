#!/usr/bin/env bash
# Generates the English-German corpus and binarises it.
#
#   bash examples/grammar_en_de/prepare.sh [--output DIR] [--jobs N] [--overwrite]
#
# --output DIR          default outputs/grammar_en_de; makes DIR/raw/{train,valid,test}.{en,de}, DIR/subwords.model, DIR/bin
# --jobs, --overwrite   as in `gnmt prepare`
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

VOCAB_SIZE=1200

output="outputs/grammar_en_de" binary=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --jobs) binary+=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --overwrite) binary+=("$1"); shift ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done
require_tools fairseq-preprocess
lock_folder "$output"

if [[ ! -s "$output/raw/test.de" ]]; then # written last
    say "writing sentence pairs"
    python "$ROOT/examples/grammar_en_de/generate.py" --output "$output/raw" --overwrite
fi
bash "$ROOT/examples/text_to_binary.sh" --output "$output" --train train --vocab-size "$VOCAB_SIZE" "${binary[@]}"
