#!/usr/bin/env bash
# Refines a trained model on the expected GLEU of its translations (Wu et al. 2016, section 5).
#
#   bash examples/multi30k/refine.sh [--output DIR] [--checkpoint FILE] [--updates N] [--seed N] [-- further options of fairseq-train]
#
# --output DIR       same as for train.sh (default outputs/multi30k)
# --checkpoint FILE  initial model (default DIR/checkpoints/averaged.pt)
# --updates N        updates of 32 sentences with 15 samples each (default 200; 7 s each on one core)
# --seed N           seed of samples and of the order of batches (default 1)
#
# Checkpoints are written to DIR/refined. checkpoint_best.pt has the highest BLEU on the validation set. The same command
# resumes an interrupted refinement; a finished one is kept.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

THREADS=$(($(nproc) < 4 ? $(nproc) : 4))

output="outputs/multi30k" checkpoint="" updates=200 seed=1
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --checkpoint) checkpoint="$(option_value "$1" "$@")"; shift 2 ;;
        --updates) updates="$(option_value "$1" "$@")"; shift 2 ;;
        --seed) seed="$(option_value "$1" "$@")"; shift 2 ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift; break ;;
        *) die "unknown option $1; --help lists the options, and options of fairseq-train go after --." ;;
    esac
done
require_number --seed "$seed"
require_number --updates "$updates"
require_tools fairseq-train
checkpoint="${checkpoint:-$output/checkpoints/averaged.pt}"
[[ -s "$checkpoint" ]] || die "$checkpoint is missing; run train.sh first, or name another --checkpoint."

joining="$(joining_of "$output")"
train_once "$output" "$THREADS" --save-dir "$output/refined" --arch gnmt_v2_small --share-decoder-input-output-embed \
    --finetune-from-model "$checkpoint" \
    --criterion gnmt_mixed_objective --reward-post-process "$joining" \
    --lr 1e-4 --warmup-steps 0 --remain-steps 1.0 --batch-size 32 --max-update "$updates" --seed "$seed" \
    --validate-interval-updates 50 --save-interval-updates 50 --keep-interval-updates 1 --no-epoch-checkpoints \
    --batch-size-valid 128 --eval-bleu --eval-bleu-remove-bpe "$joining" --eval-bleu-args '{"beam": 5}' \
    --best-checkpoint-metric bleu --maximize-best-checkpoint-metric --log-interval 10 "$@"
