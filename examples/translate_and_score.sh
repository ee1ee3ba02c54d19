#!/usr/bin/env bash
# Translates a binarised set and scores it against the raw reference. The evaluate.sh of each example calls it.
#
#   bash examples/translate_and_score.sh --output DIR [options] [-- options of fairseq-generate]
#
# --output DIR         output folder of text_to_binary.sh
# --checkpoint FILE    default: DIR/checkpoints/averaged.pt if it exists, otherwise checkpoint_last.pt
# --subset test|valid  default test
# --length-norm-factor, --coverage-penalty   options of the task (default 0.6 and 0.1)
#
# The beam size is 5, and word models copy unknown source words. Warnings of fairseq-generate are printed; LOGLEVEL=INFO
# before the command prints its other messages, too. The output of fairseq-generate is in DIR/translations/NAME.SUBSET.log,
# and the translations in NAME.SUBSET.de. NAME is the name of the checkpoint, or FOLDER-NAME for DIR/FOLDER/NAME.pt.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

output="" checkpoint="" subset=test scores=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --checkpoint) checkpoint="$(option_value "$1" "$@")"; shift 2 ;;
        --length-norm-factor | --coverage-penalty) scores+=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --subset) subset="$(option_value "$1" "$@")"; shift 2 ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift; break ;;
        *) die "unknown option $1; --help lists the options, and options of fairseq-generate go after --." ;;
    esac
done
[[ -n "$output" ]] || die "--output is required; --help explains it."
if [[ -z "$checkpoint" ]]; then
    checkpoint="$output/checkpoints/averaged.pt"
    [[ -s "$checkpoint" ]] || checkpoint="$output/checkpoints/checkpoint_last.pt"
fi
reference="$output/raw/$subset.de"

require_tools fairseq-generate
[[ -s "$checkpoint" ]] || die "$checkpoint is missing; run train.sh first, or name another --checkpoint."
[[ -s "$reference" ]] || die "$reference is missing; --subset must be test or valid, and the data must be prepared."
device=()
python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || device=(--cpu)

segmentation=(--bpe "$(joining_of "$output")")
case "$(segmentation_of "$output")" in
    word) segmentation+=(--replace-unk --dataset-impl raw) ;;
    mixed) segmentation+=(--mixed-word-char-model "$output/mixed.json") ;;
    character) segmentation+=(--sentencepiece-model "$output/subwords.model" --max-len-a 2) ;;
    *) segmentation+=(--sentencepiece-model "$output/subwords.model") ;;
esac

mkdir -p "$output/translations"
name="$(basename "${checkpoint%.pt}")"
folder="$(basename "$(cd "$(dirname "$checkpoint")" && pwd)")"
[[ "$folder" == checkpoints ]] || name="$folder-$name"
translation="$output/translations/$name.$subset"
LOGLEVEL="${LOGLEVEL:-WARNING}" write_whole "$translation.log" fairseq-generate "$output/bin" --user-dir "$ROOT/fairseq_gnmt" --task gnmt_translation \
    --source-lang en --target-lang de --path "$checkpoint" --gen-subset "$subset" --beam 5 --batch-size 64 --scoring gnmt_bleu \
    "${segmentation[@]}" "${scores[@]}" "${device[@]}" "$@"

python -m gnmt score --generate-log "$translation.log" --references "$reference" --output "$translation.de"
