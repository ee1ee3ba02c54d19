#!/usr/bin/env bash
# Stage 3: cleans OUTPUT/raw, learns joint subwords and writes binarised data to OUTPUT/bin.
#
#   bash examples/wmt16_en_de/prepare.sh [--output DIR] [--vocab-size N] [--input-sentence-size N] [--jobs N] [--overwrite]
#
# --output DIR               same as for download.py and extract.py (default outputs/wmt16_en_de)
# --vocab-size N             joint subwords (default 32000)
# --input-sentence-size N, --jobs N, --overwrite   as in `gnmt prepare`, which does the work
#
# Training pairs are kept if both sides have 1 to 80 words, can be encoded in latin-1 and have a length ratio of at most 9.
# Validation and test sets keep every line.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

output="outputs/wmt16_en_de" vocab_size=32000
options=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --vocab-size) vocab_size="$(option_value "$1" "$@")"; shift 2 ;;
        --input-sentence-size | --jobs) options+=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --overwrite) options+=("$1"); shift ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done

for name in europarl-v7 commoncrawl news-commentary-v11 valid test; do
    for language in en de; do
        [[ -s "$output/raw/$name.$language" ]] ||
            die "$output/raw/$name.$language is missing or empty; run the download and extraction first."
    done
done
bash "$ROOT/examples/text_to_binary.sh" --output "$output" --vocab-size "$vocab_size" "${options[@]}" \
    --train europarl-v7 --train commoncrawl --train news-commentary-v11 \
    -- --min-length 1 --max-length 80 --require-encoding latin-1
