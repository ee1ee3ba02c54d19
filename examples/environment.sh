# Functions and variables for the scripts of the examples, which source this file. ROOT is the checkout.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

die() {
    echo "error: $*" >&2
    exit 1
}

say() {
    echo "== $*" >&2
}

# At the end of the script, ends its commands and removes its unfinished file. A signal ends bash, but not the command that
# bash waits for.
partial=""
finish() {
    kill $(cat "/proc/$$/task/$$/children" 2>/dev/null) 2>/dev/null || true
    [[ -z "$partial" ]] || rm -f "$partial"
}
trap finish EXIT

# write_whole FILE COMMAND...: writes the output of the command to FILE, which appears when it is complete
write_whole() {
    partial="$1.partial"
    "${@:2}" >"$partial"
    mv "$partial" "$1"
    partial=""
}

# lock_folder DIR: makes DIR and locks it until the script and its commands have ended, as gnmt/files/locks.py does. Scripts
# that it calls for the same folder share its lock. On systems without locks, the folder is not locked.
lock_folder() {
    local folder lock
    mkdir -p "$1" || die "$1 cannot be made; give another --output."
    folder="$(cd "$1" && pwd -P)"
    [[ "${GNMT_LOCKED_FOLDER:-}" != "$folder" ]] || return 0
    command -v flock >/dev/null || return 0
    { exec {lock}>>"$folder/.lock"; } 2>/dev/null || return 0
    flock -n "$lock" || [[ $? -ne 1 ]] || die "$1 is in use by $(<"$folder/.lock"): wait until it ends, or give another --output."
    echo "process $$ on ${HOSTNAME:-this machine}" >"$folder/.lock"
    export GNMT_LOCKED_FOLDER="$folder"
}

# option_value --name "$@": prints the value of an option; fails if it is missing.
option_value() {
    [[ $# -ge 3 ]] || die "$1 needs a value; --help lists the options."
    echo "$3"
}

require_number() {
    [[ "$2" =~ ^[1-9][0-9]*$ ]] || die "$1 is '$2'; it must be a whole number of at least 1."
}

# print_help SCRIPT: prints the comment at the head of the script.
print_help() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"
}

# The environment of scripts/environment.sh, unless another one is active.
if [[ -z "${VIRTUAL_ENV:-}" && -x "$ROOT/.venv/bin/python" ]]; then
    PATH="$ROOT/.venv/bin:$PATH"
fi
export PATH
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
# hides warnings of hydra and torch about fairseq's code
export PYTHONWARNINGS="${PYTHONWARNINGS:-ignore::UserWarning,ignore::FutureWarning}"

# loss_scale SENTENCES: prints the initial loss scale for fp16, if each GPU sums the gradients of SENTENCES sentences
#
# fairseq's loss is a sum over sentences (NVIDIA divides it by the batch size), and the largest float16 is 65,504. The
# largest gradients of the first update belong to the biases of frequent words, such as EOS: 0.9 per occurrence, with label
# smoothing 0.1. With a scale of 2^15 / SENTENCES, a word may occur twice in every sentence.
loss_scale() {
    local scale=1
    while [[ $((2 * scale * $1)) -le 32768 ]]; do
        scale=$((2 * scale))
    done
    echo "$scale"
}

# segmentation_of DIR: prints the segmentation of the text of DIR; earlier versions stored it in prepare.settings
segmentation_of() {
    local segmentation
    segmentation="$(sed -n 's/.*segmentation[=": ]*\([a-z]*\).*/\1/p' "$1/prepare.json" "$1/prepare.settings" 2>/dev/null)" || true
    echo "${segmentation:-subwords}"
}

# joining_of DIR: prints the value of --eval-bleu-remove-bpe and --bpe that joins the tokens of DIR
joining_of() {
    case "$(segmentation_of "$1")" in
        word) echo words ;;
        mixed) echo mixed_word_char ;;
        *) echo sentencepiece ;;
    esac
}

require_tools() {
    local tool
    for tool in python "$@"; do
        command -v "$tool" >/dev/null ||
            die "$tool is not on PATH. Run 'bash $ROOT/scripts/environment.sh' once, or activate your environment."
    done
    python -c 'import importlib.util as u, sys; sys.exit(not (u.find_spec("fairseq") and u.find_spec("sentencepiece")))' ||
        die "$(command -v python) has no fairseq or no sentencepiece. Run 'bash $ROOT/scripts/environment.sh' once, or activate your environment."
}

# checkpoints_of OPTION...: prints the folder of checkpoints of fairseq-train with these options
checkpoints_of() {
    local checkpoints=checkpoints
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --save-dir) checkpoints="${2:-}" ;;
            --save-dir=*) checkpoints="${1#*=}" ;;
        esac
        shift
    done
    echo "$checkpoints"
}

# already_trained OPTION...: succeeds if fairseq-train has finished with these options; ends the script if it has finished
# with other options
already_trained() {
    local checkpoints finished
    checkpoints="$(checkpoints_of "$@")"
    finished="$checkpoints/finished"
    [[ -e "$finished" ]] || return 1
    [[ "$(<"$finished")" == "$*" ]] ||
        die "$checkpoints was trained with other options ($(<"$finished")). Delete $finished to continue the training with the new options, or give another --output."
    say "already trained: $checkpoints (delete $finished to continue the training)"
}

# trained OPTION...: records that fairseq-train has finished with these options
trained() {
    echo "$*" >"$(checkpoints_of "$@")/finished"
}

# train_once OUTPUT THREADS OPTION...: trains on OUTPUT/bin with the recipe of GNMT v2 and further options, unless this has
# finished before. Checkpoints are in OUTPUT/checkpoints, or in --save-dir. All messages are in train.log in the same folder;
# a summary is printed.
#
# Without a GPU, OMP_NUM_THREADS or else THREADS is the number of threads. If other programs use the cores, two threads can
# be slower than one, because waiting threads spin.
train_once() {
    local output="$1" threads="$2" options checkpoints
    shift 2
    options=("$output/bin" --user-dir "$ROOT/fairseq_gnmt" --save-dir "$output/checkpoints" --task gnmt_translation
        --source-lang en --target-lang de --criterion gnmt_label_smoothed_cross_entropy --sentence-avg
        --optimizer gnmt_adam --lr-scheduler gnmt_warmup_step_decay --clip-norm 5.0
        --log-format simple --log-interval 100 --num-workers 0 "$@")
    ! already_trained "${options[@]}" || return 0
    checkpoints="$(checkpoints_of "${options[@]}")"
    mkdir -p "$checkpoints"
    if python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
        fairseq-train "${options[@]}" --distributed-world-size 1
    else
        OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}" fairseq-train "${options[@]}" --cpu
    fi | tee -a "$checkpoints/train.log" | python "$ROOT/examples/show_progress.py" "${options[@]}"
    trained "${options[@]}"
}
