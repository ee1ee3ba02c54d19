# Sourced by the scripts of the examples: ROOT (the checkout), the commands on PATH, and how a script gives up.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

die() {
    echo "error: $*" >&2
    exit 1
}

say() {
    echo "== $*" >&2
}

# Ends what the script has started and removes what it has begun to write, however it ends: a signal ends bash, but not the
# command that it waits for.
partial=""
finish() {
    kill $(cat "/proc/$$/task/$$/children" 2>/dev/null) 2>/dev/null || true
    [[ -z "$partial" ]] || rm -f "$partial"
}
trap finish EXIT

# write_whole FILE COMMAND...: FILE holds what the command prints, once it has printed everything
write_whole() {
    partial="$1.partial"
    "${@:2}" >"$partial"
    mv "$partial" "$1"
    partial=""
}

# lock_folder DIR: makes DIR and locks it until the script and all that it has started have ended, as gnmt/files/locks.py does.
# The scripts that it calls for the same folder go on under its lock. Where there are no locks, it is left out.
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

# A value that an option needs: option_value --name "$@" fails with a sentence when nothing follows.
option_value() {
    [[ $# -ge 3 ]] || die "$1 needs a value; --help lists the options."
    echo "$3"
}

require_number() {
    [[ "$2" =~ ^[1-9][0-9]*$ ]] || die "$1 is '$2'; it must be a whole number of at least 1."
}

# The comment at the head of a script is its help.
print_help() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"
}

# The environment that scripts/environment.sh makes, unless another one is active.
if [[ -z "${VIRTUAL_ENV:-}" && -x "$ROOT/.venv/bin/python" ]]; then
    PATH="$ROOT/.venv/bin:$PATH"
fi
export PATH
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
# hydra's and torch's notices about fairseq's own code would bury the messages that matter
export PYTHONWARNINGS="${PYTHONWARNINGS:-ignore::UserWarning,ignore::FutureWarning}"

# loss_scale SENTENCES: a loss scale that half precision can start with, when each GPU adds the gradients of so many sentences
#
# fairseq's loss is a sum over sentences (NVIDIA divides it by the batch size first), and float16 ends at 65,504. The
# largest gradients of the first update are biases of frequent words, above all EOS: 0.9 times the number of their
# occurrences, with label smoothing 0.1. Scaled by 2^15 / SENTENCES, a word may occur twice in every sentence.
loss_scale() {
    local scale=1
    while [[ $((2 * scale * $1)) -le 32768 ]]; do
        scale=$((2 * scale))
    done
    echo "$scale"
}

# segmentation_of DIR: the segmentation of the text of DIR, which earlier versions noted in prepare.settings
segmentation_of() {
    local found
    found="$(sed -n 's/.*segmentation[=": ]*\([a-z]*\).*/\1/p' "$1/prepare.json" "$1/prepare.settings" 2>/dev/null)" || true
    echo "${found:-subwords}"
}

# joining_of DIR: the name that undoes this cutting, for --eval-bleu-remove-bpe and for --bpe
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

# checkpoints_of OPTION...: where fairseq-train saves, given these options
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

# already_trained OPTION...: whether fairseq-train has ended with these options; the script ends if it has with other ones
already_trained() {
    local checkpoints finished
    checkpoints="$(checkpoints_of "$@")"
    finished="$checkpoints/finished"
    [[ -e "$finished" ]] || return 1
    [[ "$(<"$finished")" == "$*" ]] ||
        die "$checkpoints was trained with other options ($(<"$finished")). Delete $finished to train it on with the new ones, or give another --output."
    say "already trained: $checkpoints (delete $finished to train on)"
}

# trained OPTION...: notes that fairseq-train has ended with these options
trained() {
    echo "$*" >"$(checkpoints_of "$@")/finished"
}

# train_once OUTPUT THREADS OPTION...: GNMT v2's recipe on OUTPUT/bin with further options, once; to OUTPUT/checkpoints, or --save-dir.
# train.log there has what fairseq-train tells, for scripts/plot_training.py; progress is printed in short.
#
# THREADS (or OMP_NUM_THREADS of the environment) are used on a machine without a GPU. Waiting threads spin, so leave it the
# cores: with other work on them two threads can be slower than one.
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
