#!/usr/bin/env bash
# Trains gnmt_v2_small on Multi30k by `gnmt train`, and averages its last epochs into DIR/checkpoints/averaged.pt. Unlike in
# NVIDIA's recipe, the output layer shares the weights of the embeddings, and the embeddings are initialised from
# co-occurrence statistics of the training text, which prepare.sh computes.
#
#   bash examples/multi30k/train.sh [--output DIR] [--seed N] [-- further options of gnmt train and fairseq-train]
#
# --output DIR   same as for prepare.sh (default outputs/multi30k)
# --seed N       seed of initial weights, dropout and the order of batches (default 1)
#
# Checkpoints are written to DIR/checkpoints. The same command resumes an interrupted training run; a finished one is kept.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

output="outputs/multi30k" seed=1
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --seed) seed="$(option_value "$1" "$@")"; shift 2 ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift; break ;;
        *) die "unknown option $1; --help lists the options, and options of fairseq-train go after --." ;;
    esac
done
require_number --seed "$seed"
require_tools
[[ -d "$output/bin" ]] || die "$output/bin is missing; run prepare.sh with the same --output first."

exec python -m gnmt train "$output" --seed "$seed" "$@"
