#!/usr/bin/env bash
# Prepares the raw English-German text in DIR/raw for fairseq-train, by `gnmt prepare`. The prepare.sh of each example calls it.
#
#   bash examples/text_to_binary.sh --output DIR --train NAME... --vocab-size N [options of gnmt prepare] [-- further options]
#
# reads   DIR/raw/NAME.{en,de} (training; all names are joined), DIR/raw/{valid,test}.{en,de}
# writes  the files of `gnmt prepare --help` to DIR; initial embeddings only with --embedding-size
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

output="" train=() options=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --train) train+=("$(option_value "$1" "$@")"); shift 2 ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift ;;
        *) options+=("$1"); shift ;;
    esac
done
[[ -n "$output" && ${#train[@]} -gt 0 ]] || die "--output and --train are required; --help explains them."
require_tools
corpora=()
for name in "${train[@]}"; do
    corpora+=("$output/raw/$name")
done
exec python -m gnmt prepare --source-lang en --target-lang de --output "$output" --train "${corpora[@]}" \
    --valid "$output/raw/valid" --test "$output/raw/test" --embedding-size 0 "${options[@]}"
