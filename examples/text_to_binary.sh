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
#          DIR/embeddings.txt                                vectors for a network to begin with, for --embedding-size
#
# --train NAME               a training corpus in DIR/raw; may be given several times
# --segmentation S           subwords (default), word, character or mixed: frequent words, and the others in characters
# --vocab-size N             pieces of the joint model; at most so many words or characters
# --embedding-size N         also make vectors of this size from what stands together in the training pairs
# --input-sentence-size N    learn subwords or characters from at most N sentences (default: the tool's own)
# --jobs N                   processes (default: all cores)
# --overwrite                start again from the raw text
#
# Validation and test keep every line. All of it is made in DIR/unfinished and moved into place at the end, so --overwrite
# loses nothing if a step fails; without it an interrupted run is continued by the same command. Other settings than those of what
# is there are refused unless --overwrite is given.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

output="" segmentation=subwords vocab_size="" embedding_size="" jobs="$(nproc)" overwrite=no
train=() cleaning=() learning=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --train) train+=("$(option_value "$1" "$@")"); shift 2 ;;
        --segmentation) segmentation="$(option_value "$1" "$@")"; shift 2 ;;
        --vocab-size) vocab_size="$(option_value "$1" "$@")"; shift 2 ;;
        --embedding-size) embedding_size="$(option_value "$1" "$@")"; shift 2 ;;
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
    subwords) tool=subwords model="subwords.model" ;;
    character) tool=subwords model="subwords.model" learning+=(--model-type char) ;;
    word) tool=words model="" ;;
    mixed) tool=mixed_word_char model="mixed.json" ;;
    *) die "--segmentation is '$segmentation', but must be subwords, word, character or mixed." ;;
esac
[[ ${#learning[@]} -eq 0 || "$tool" == subwords ]] ||
    die "--input-sentence-size is for subwords and characters; leave it out for --segmentation $segmentation."
require_number --vocab-size "$vocab_size"
[[ -z "$embedding_size" ]] || require_number --embedding-size "$embedding_size"
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
[[ -z "$embedding_size" ]] || settings+=" embedding-size=$embedding_size"
if [[ "$overwrite" == no && -s "$output/prepare.settings" && -d "$output/bin" ]]; then
    [[ "$(<"$output/prepare.settings")" == "$settings" ]] ||
        die "$output was prepared with '$(<"$output/prepare.settings")', now '$settings' is asked for. Give --overwrite or another --output."
    say "ready: $output/bin"
    exit
fi

lock_folder "$output"

# Cleaning checks the training text.
python -c 'import sys
from pathlib import Path
from gnmt.files.parallel_text import count_pairs
from gnmt.commands.process import run_command
files = [Path(name) for name in sys.argv[1:]]
run_command(lambda: count_pairs(files[::2], files[1::2], jobs=1))' "$output"/raw/{valid,test}.{en,de}

products=(prepare.settings clean subwords.model subwords.vocab mixed.json encoded dict.txt embeddings.txt bin)
making="$output/unfinished"
model="${model:+$making/$model}"
# What other settings left, perhaps because one of them was wrong, stands in nobody's way.
if [[ "$overwrite" == yes || ! -s "$making/prepare.settings" || "$(<"$making/prepare.settings")" != "$settings" ]]; then
    rm -rf "$making"
fi
mkdir -p "$making"/{clean,encoded}
echo "$settings" >"$making/prepare.settings"

# Each step runs only if its last result is missing; --overwrite then replaces what an interrupted run left of it.
if [[ ! -s "$making/clean/train.cleaning.json" || ! -s "$making/clean/train.en" || ! -s "$making/clean/train.de" ]]; then
    say "cleaning the training pairs"
    sources=() targets=()
    for name in "${train[@]}"; do
        sources+=("$output/raw/$name.en") targets+=("$output/raw/$name.de")
    done
    python -m fairseq_gnmt.data.cleaning --source "${sources[@]}" --target "${targets[@]}" \
        --output-prefix "$making/clean/train" --source-lang en --target-lang de --jobs "$jobs" --overwrite "${cleaning[@]}"
fi

training=("$making/clean/train.en" "$making/clean/train.de")
if [[ -n "$model" && ! -s "$model" ]]; then
    say "learning the joint $segmentation model, $vocab_size tokens"
    if [[ "$segmentation" == mixed ]]; then
        python -m fairseq_gnmt.data.mixed_word_char train --input "${training[@]}" --output "$model" \
            --vocab-size "$vocab_size" --jobs "$jobs" --overwrite
    else
        python -m fairseq_gnmt.data.subwords train --input "${training[@]}" --model-prefix "$making/subwords" \
            --vocab-size "$vocab_size" --overwrite "${learning[@]}"
    fi
fi

for split in train valid test; do
    for language in en de; do
        encoded="$making/encoded/$split.$language"
        text="$output/raw/$split.$language"
        [[ "$split" == train ]] && text="$making/clean/train.$language"
        [[ -s "$encoded" ]] && continue
        say "encoding $split.$language"
        python -m "fairseq_gnmt.data.$tool" encode ${model:+--model "$model"} \
            --input "$text" --output "$encoded" --jobs "$jobs"
    done
done

if [[ ! -d "$making/bin" ]]; then
    say "binarising"
    rm -rf "$making/bin.tmp"
    if [[ "$segmentation" == word ]]; then
        python -m fairseq_gnmt.data.words dictionary --input "${training[@]}" --vocab-size "$vocab_size" \
            --output "$making/dict.txt" --jobs "$jobs" --overwrite
    else
        python -m "fairseq_gnmt.data.$tool" dictionary --model "$model" --output "$making/dict.txt" --overwrite
    fi
    # Half precision is fast for multiples of 8; fairseq-preprocess pads only dictionaries that it builds itself.
    python -c 'import sys; from fairseq.data import Dictionary as D; d = D.load(sys.argv[1]); d.pad_to_multiple_(8); d.save(sys.argv[1])' \
        "$making/dict.txt"
    # With the plugin a line ends at \n only, also where a sentence has a carriage return.
    fairseq-preprocess --user-dir "$ROOT/fairseq_gnmt" --source-lang en --target-lang de --joined-dictionary \
        --srcdict "$making/dict.txt" \
        --trainpref "$making/encoded/train" --validpref "$making/encoded/valid" --testpref "$making/encoded/test" \
        --destdir "$making/bin.tmp" --workers "$jobs"
    if [[ "$segmentation" == word ]]; then
        # Binarised text has lost its unknown words: validation and test are read from their text, to copy from.
        for split in valid test; do
            for language in en de; do
                cp "$making/encoded/$split.$language" "$making/bin.tmp/$split.en-de.$language"
            done
        done
    fi
    mv "$making/bin.tmp" "$making/bin"
fi

if [[ -n "$embedding_size" && ! -s "$making/embeddings.txt" ]]; then
    say "making vectors of tokens"
    python -m fairseq_gnmt.data.cooccurrence --source "$making/encoded/train.en" --target "$making/encoded/train.de" \
        --dictionary "$making/dict.txt" --size "$embedding_size" --output "$making/embeddings.txt"
fi

# Settings go first and come last: with them and bin, DIR is whole.
for product in "${products[@]}"; do
    rm -rf "${output:?}/$product"
done
for ((i = ${#products[@]} - 1; i >= 0; i--)); do
    [[ ! -e "$making/${products[i]}" ]] || mv "$making/${products[i]}" "$output/"
done
rm -rf "${making:?}"  # killed runs leave half-written files there
say "ready: $output/bin"
