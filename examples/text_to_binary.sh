#!/usr/bin/env bash
# From raw English-German text to what fairseq-train reads. The prepare.sh of each example calls it.
#
#   bash examples/text_to_binary.sh --output DIR --train NAME... --vocab-size N [options] [-- CLEANING OPTIONS]
#
# reads    DIR/raw/NAME.{en,de} (training; all names are joined), DIR/raw/{valid,test}.{en,de}
# writes   DIR/clean/train.{en,de} and train.cleaning.json   training pairs that are kept, and why others are not
#          DIR/subwords.model, DIR/subwords.vocab            joint sentencepiece BPE, or characters
#          DIR/mixed.json                                    instead, for --segmentation mixed
#          DIR/encoded/{train,valid,test}.{en,de}            pieces
#          DIR/bin                                           the binarised corpus, with dict.{en,de}.txt
#
# --train NAME               a training corpus in DIR/raw; may be given several times
# --segmentation S           subwords (default), word, character or mixed: frequent words, and the others in characters
# --vocab-size N             pieces of the joint model; at most so many words or characters
# --input-sentence-size N    learn subwords or characters from at most N sentences (default: the tool's own)
# --jobs N                   processes (default: all cores)
# --overwrite                start again from the raw text
#
# Validation and test keep every line. A second run continues after the last finished step; it refuses
# other settings than those of a finished one unless --overwrite is given.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

output="" segmentation=subwords vocab_size="" jobs="$(nproc)" overwrite=no
train=() cleaning=() learning=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --train) train+=("$(option_value "$1" "$@")"); shift 2 ;;
        --segmentation) segmentation="$(option_value "$1" "$@")"; shift 2 ;;
        --vocab-size) vocab_size="$(option_value "$1" "$@")"; shift 2 ;;
        --input-sentence-size) learning=("$1" "$(option_value "$1" "$@")"); shift 2 ;;
        --jobs) jobs="$(option_value "$1" "$@")"; shift 2 ;;
        --overwrite) overwrite=yes; shift ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift; cleaning=("$@"); break ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done
[[ -n "$output" && ${#train[@]} -gt 0 ]] || die "--output and --train are needed; --help explains them."
case "$segmentation" in
    subwords) tool=subwords model="$output/subwords.model" ;;
    character) tool=subwords model="$output/subwords.model" learning+=(--model-type char) ;;
    word) tool=words model="" ;;
    mixed) tool=mixed_word_char model="$output/mixed.json" ;;
    *) die "--segmentation is '$segmentation', but must be subwords, word, character or mixed." ;;
esac
[[ ${#learning[@]} -eq 0 || "$tool" == subwords ]] ||
    die "--input-sentence-size is for subwords and characters; leave it out for --segmentation $segmentation."
require_number --vocab-size "$vocab_size"
require_number --jobs "$jobs"
require_tools fairseq-preprocess

for name in "${train[@]}" valid test; do
    for language in en de; do
        [[ -s "$output/raw/$name.$language" ]] ||
            die "$output/raw/$name.$language is missing or empty; run the download and extraction first."
    done
done

settings="train=${train[*]} vocab-size=$vocab_size learning=${learning[*]} cleaning=${cleaning[*]}"
[[ "$segmentation" == subwords ]] || settings+=" segmentation=$segmentation"
changed=no
[[ ! -e "$output/prepare.settings" || "$(<"$output/prepare.settings")" == "$settings" ]] || changed=yes
# A preparation that never came to its end, perhaps because a setting was wrong, stands in nobody's way.
if [[ "$overwrite" == yes || ("$changed" == yes && ! -d "$output/bin") ]]; then
    rm -rf "$output"/{clean,encoded,bin,bin.tmp,subwords.model,subwords.vocab,mixed.json,dict.txt,prepare.settings}
    changed=no
fi
if [[ "$changed" == yes ]]; then
    die "$output was prepared with '$(<"$output/prepare.settings")', now '$settings' is asked for. Give --overwrite or another --output."
fi
echo "$settings" >"$output/prepare.settings"

# Each step runs only if its last result is missing; --overwrite then replaces what an interrupted run left of it.
if [[ ! -s "$output/clean/train.cleaning.json" || ! -s "$output/clean/train.en" || ! -s "$output/clean/train.de" ]]; then
    say "cleaning the training pairs"
    mkdir -p "$output/clean"
    sources=() targets=()
    for name in "${train[@]}"; do
        sources+=("$output/raw/$name.en") targets+=("$output/raw/$name.de")
    done
    python -m fairseq_gnmt.data.cleaning --source "${sources[@]}" --target "${targets[@]}" \
        --output-prefix "$output/clean/train" --source-lang en --target-lang de --jobs "$jobs" --overwrite "${cleaning[@]}"
fi

training=("$output/clean/train.en" "$output/clean/train.de")
if [[ -n "$model" && ! -s "$model" ]]; then
    say "learning the joint $segmentation model, $vocab_size tokens"
    if [[ "$segmentation" == mixed ]]; then
        python -m fairseq_gnmt.data.mixed_word_char train --input "${training[@]}" --output "$model" \
            --vocab-size "$vocab_size" --jobs "$jobs" --overwrite
    else
        python -m fairseq_gnmt.data.subwords train --input "${training[@]}" --model-prefix "$output/subwords" \
            --vocab-size "$vocab_size" --overwrite "${learning[@]}"
    fi
fi

mkdir -p "$output/encoded"
for split in train valid test; do
    for language in en de; do
        encoded="$output/encoded/$split.$language"
        text="$output/raw/$split.$language"
        [[ "$split" == train ]] && text="$output/clean/train.$language"
        [[ -s "$encoded" ]] && continue
        say "encoding $split.$language"
        python -m "fairseq_gnmt.data.$tool" encode ${model:+--model "$model"} \
            --input "$text" --output "$encoded" --jobs "$jobs"
    done
done

if [[ ! -d "$output/bin" ]]; then
    say "binarising"
    rm -rf "$output/bin.tmp"
    if [[ "$segmentation" == word ]]; then
        python -m fairseq_gnmt.data.words dictionary --input "${training[@]}" --vocab-size "$vocab_size" \
            --output "$output/dict.txt" --jobs "$jobs" --overwrite
    else
        python -m "fairseq_gnmt.data.$tool" dictionary --model "$model" --output "$output/dict.txt" --overwrite
    fi
    # Half precision is fast for multiples of 8; fairseq-preprocess pads only dictionaries that it builds itself.
    python -c 'import sys; from fairseq.data import Dictionary as D; d = D.load(sys.argv[1]); d.pad_to_multiple_(8); d.save(sys.argv[1])' \
        "$output/dict.txt"
    fairseq-preprocess --source-lang en --target-lang de --joined-dictionary --srcdict "$output/dict.txt" \
        --trainpref "$output/encoded/train" --validpref "$output/encoded/valid" --testpref "$output/encoded/test" \
        --destdir "$output/bin.tmp" --workers "$jobs"
    if [[ "$segmentation" == word ]]; then
        # Binarised text has lost its unknown words: validation and test are read from their text, to copy from.
        for split in valid test; do
            for language in en de; do
                cp "$output/encoded/$split.$language" "$output/bin.tmp/$split.en-de.$language"
            done
        done
    fi
    mv "$output/bin.tmp" "$output/bin"
fi
say "ready: $output/bin"
