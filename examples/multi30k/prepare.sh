#!/usr/bin/env bash
# Prepares Multi30k English-German: download or local copy, cleaning, subwords, binarised corpus.
#
#   bash examples/multi30k/prepare.sh [--data DIR] [--output DIR] [--vocab-size N] [--segmentation S] [other options]
#
# --data DIR        a directory with {train,val,test_2016_flickr}.{en,de}.gz; without it, they are downloaded (1.3 MB)
# --mirror URL      download from here instead of raw.githubusercontent.com
# --checksums FILE  checksums in the format of sha256sum, instead of the built-in ones
# --output DIR      default outputs/multi30k; makes DIR/raw/{train,valid,test}.{en,de},
#                   DIR/subwords.model, DIR/bin, DIR/embeddings.txt and intermediate files
# --segmentation S  subwords (default), word, character or mixed, as in `gnmt prepare`
# --vocab-size N    joint subwords, words, or words and characters (default: VOCAB_SIZE of the environment, or 8000)
# --embedding-size N  size of the vectors in DIR/embeddings.txt, which is train.sh's hidden size (default 256)
# --jobs, --overwrite as in `gnmt prepare`
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

output="outputs/multi30k" vocab_size="${VOCAB_SIZE:-8000}" embedding_size=256
download=() binary=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --data) download+=(--from-directory "$(option_value "$1" "$@")"); shift 2 ;;
        --mirror | --checksums) download+=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --vocab-size) vocab_size="$(option_value "$1" "$@")"; shift 2 ;;
        --embedding-size) embedding_size="$(option_value "$1" "$@")"; shift 2 ;;
        --segmentation | --jobs) binary+=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --overwrite) binary+=("$1"); shift ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done
require_tools fairseq-preprocess

# published name -> name of the split
declare -A splits=([train]=train [val]=valid [test_2016_flickr]=test)
lock_folder "$output"
mkdir -p "$output/raw"
finished=yes
for split in "${splits[@]}"; do
    [[ -s "$output/raw/$split.en" && -s "$output/raw/$split.de" ]] || finished=no
done
if [[ "$finished" == no || ${#download[@]} -gt 0 ]]; then
    python "$ROOT/examples/multi30k/download.py" --output "$output" "${download[@]}"
    for published in "${!splits[@]}"; do
        for language in en de; do
            write_whole "$output/raw/${splits[$published]}.$language" gzip -dc "$output/archives/$published.$language.gz"
        done
    done
fi

# Captions are short and clean: only empty, very long and unbalanced training pairs are dropped.
bash "$ROOT/examples/text_to_binary.sh" --output "$output" --train train --vocab-size "$vocab_size" \
    --embedding-size "$embedding_size" "${binary[@]}"
