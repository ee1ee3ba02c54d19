#!/usr/bin/env bash
# Trains a small GNMT v2 on the generated corpus, in about two minutes.
#
#   bash examples/grammar_en_de/train.sh [--output DIR] [--seed N] [-- further options of fairseq-train]
#
# --output DIR   same as for prepare.sh (default outputs/grammar_en_de)
# --seed N       seed of initial weights, dropout and the order of batches (default 1)
#
# Checkpoints are written to DIR/checkpoints. The same command resumes an interrupted training run; a finished one is kept.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

UPDATES=1800 BATCH=32

output="outputs/grammar_en_de" seed=1
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
require_tools fairseq-train
[[ -d "$output/bin" ]] || die "$output/bin is missing; run prepare.sh with the same --output first."

# Each sentence has one correct translation: no label smoothing, and little regularisation.
train_once "$output" 1 --arch gnmt_v2_tiny --hidden-size 128 --encoder-layers 2 --decoder-layers 2 --dropout 0 --init-range 0.3 \
    --label-smoothing 0 --lr 5e-3 --batch-size "$BATCH" --max-update "$UPDATES" --seed "$seed" "$@"
