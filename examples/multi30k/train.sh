#!/usr/bin/env bash
# Trains gnmt_v2_small on Multi30k and averages its last epochs into DIR/checkpoints/averaged.pt. Unlike NVIDIA's, its output
# layer shares the embeddings, and these begin with what prepare.sh found to stand together in the training text.
#
#   bash examples/multi30k/train.sh [--output DIR] [--seed N] [-- further options of fairseq-train]
#
# --output DIR   as given to prepare.sh (default outputs/multi30k)
# --seed N       of initial weights, dropout and the order of batches (default 1)
#
# Checkpoints go to DIR/checkpoints. An interrupted training is continued by the same command; a finished one is left alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

EPOCHS=10 BATCH=64 AVERAGED=3
THREADS=$(($(nproc) < 4 ? $(nproc) : 4))  # small matrices gain little from more

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
require_tools fairseq-train
[[ -d "$output/bin" ]] || die "$output/bin is missing; run prepare.sh with the same --output first."

updates="$(python "$ROOT/examples/count_updates.py" "$output/bin" --max-length 1024 --global-batch "$BATCH" --epochs "$EPOCHS")"
train_once "$output" "$THREADS" --arch gnmt_v2_small --share-decoder-input-output-embed \
    --pretrained-embeddings "$output/embeddings.txt" --dropout 0.3 \
    --lr 3e-3 --warmup-steps 200 --remain-steps 0.5 \
    --batch-size "$BATCH" --max-update "$updates" --seed "$seed" \
    --batch-size-valid 128 --eval-bleu --eval-bleu-remove-bpe "$(joining_of "$output")" --eval-bleu-args '{"beam": 1}' \
    --best-checkpoint-metric bleu --maximize-best-checkpoint-metric "$@"
checkpoints="$(checkpoints_of --save-dir "$output/checkpoints" "$@")"
python -m gnmt average --save-dir "$checkpoints" --last "$AVERAGED" \
    --output "$checkpoints/averaged.pt" --overwrite
