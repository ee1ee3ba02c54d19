#!/usr/bin/env bash
# Demonstration: environment, data, training, translation, BLEU, a model folder and sample translations.
#
#   bash scripts/demo.sh                                        the generated English-German corpus, minutes
#   bash scripts/demo.sh --corpus multi30k                      image captions; downloads 1.3 MB
#   bash scripts/demo.sh --corpus multi30k --data DIR           the same from a local copy
#
# --corpus NAME   grammar (default) or multi30k
# --data DIR      Multi30k's files {train,val,test_2016_flickr}.{en,de}.gz
# --output DIR    default outputs/grammar_en_de or outputs/multi30k below the current folder
# --seed N        seed of the training (default 1)
#
# A second run skips the stages that the first one finished. The environment is always .venv. To select its interpreter, set
# PYTHON=/path/to/python3.11 before the command.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../examples/environment.sh"

corpus=grammar data=() output="" seed=1
while [[ $# -gt 0 ]]; do
    case "$1" in
        --corpus) corpus="$(option_value "$1" "$@")"; shift 2 ;;
        --data) data=(--data "$(option_value "$1" "$@")"); shift 2 ;;
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --seed) seed="$(option_value "$1" "$@")"; shift 2 ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done
case "$corpus" in
    grammar) example=grammar_en_de checkpoint=checkpoint_last.pt ;;
    multi30k) example=multi30k checkpoint=averaged.pt ;;
    *) die "--corpus is '$corpus', but must be grammar or multi30k." ;;
esac
[[ "$corpus" == multi30k || ${#data[@]} -eq 0 ]] || die "--data is for --corpus multi30k; the grammar writes its own."
require_number --seed "$seed"
output="${output:-outputs/$example}"
examples="$ROOT/examples/$example"

# stage NAME COMMAND...: runs a stage and prints its duration. Hints at the next command are removed.
stage() {
    local name="$1" start=$SECONDS
    shift
    say "$name"
    "$@" | sed -u 's/; next: gnmt .*//'
    say "$name: $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

stage "environment" bash "$ROOT/scripts/environment.sh" fairseq serve
export VIRTUAL_ENV="$ROOT/.venv" PATH="$ROOT/.venv/bin:$PATH"
stage "data" bash "$examples/prepare.sh" --output "$output" "${data[@]}"
stage "training" bash "$examples/train.sh" --output "$output" --seed "$seed"
stage "translation" bash "$examples/evaluate.sh" --output "$output" --checkpoint "$output/checkpoints/$checkpoint"
stage "model folder" gnmt export "$output/checkpoints/$checkpoint" "$output/model" \
    --check "$output/raw/test.en" "$output/raw/test.de" --overwrite
python "$ROOT/scripts/show_samples.py" --source "$output/raw/test.en" --reference "$output/raw/test.de" \
    --hypotheses "$output/translations/${checkpoint%.pt}.test.de"
say "finished in $((SECONDS / 60)) min $((SECONDS % 60)) s; checkpoints, logs and translations are in $output"
say "translate more: source .venv/bin/activate; gnmt translate $output/model (or gnmt serve $output/model)"
