#!/usr/bin/env bash
# Checks and measurements on a GPU, in five parts of at most 4 minutes each.
#
#   bash benchmarks/gpu.sh a                                versions, comparison with the CPU, tests with the mark gpu
#   bash benchmarks/gpu.sh b --nvidia DIR                   training, batches of 128 and 384
#   bash benchmarks/gpu.sh c --nvidia DIR                   translation, batches of 1, 32, 128 and 512
#   bash benchmarks/gpu.sh d --corpus DIR                   fp16 training: killed, resumed, translated, refined
#   bash benchmarks/gpu.sh e                                profiles of an update and of a step of beam search
#   bash benchmarks/gpu.sh a --device cpu --small           trial of a part on a CPU, with tiny sizes
#
# --output DIR    results (default outputs/gpu); steps.md lists the steps with exit code and seconds
# --nvidia DIR    PyTorch/Translation/GNMT of NVIDIA's DeepLearningExamples (default: without NVIDIA's code)
# --corpus DIR    Multi30k's files {train,val,test_2016_flickr}.{en,de}.gz (default: the generated corpus)
# --device NAME   cuda (default) or cpu
# --small         tiny sizes
#
# Every step has a time limit and a log. After a failed step, the next one runs. Neither a network nor .venv is needed: the
# interpreter is PYTHON, or python3.
set -uo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
die() { echo "error: $*" >&2; exit 1; }

part="${1:-}" output=outputs/gpu nvidia="" corpus="" device=cuda small=false
[[ "$part" == --help ]] && { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit; }
[[ "$part" =~ ^[a-e]$ ]] || die "the part is '$part', but must be a, b, c, d or e; --help lists them."
shift
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output | --nvidia | --corpus | --device)
            [[ $# -ge 2 ]] || die "$1 needs a value."
            printf -v "${1#--}" '%s' "$2"; shift 2 ;;
        --small) small=true; shift ;;
        *) die "unknown option $1; --help lists the options." ;;
    esac
done
[[ "$device" == cuda || "$device" == cpu ]] || die "--device is '$device', but must be cuda or cpu."
mkdir -p -- "$output" || die "$output cannot be made; give another --output."
output="$(cd -- "$output" && pwd -P)"
[[ -z "$corpus" ]] || corpus="$(cd -- "$corpus" && pwd -P)" || die "--corpus is not a folder."
[[ -z "$nvidia" ]] || nvidia="$(cd -- "$nvidia" && pwd -P)" || die "--nvidia is not a folder."
cd -- "$root"

PART_SECONDS=240
python="${PYTHON:-python3}"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
[[ "$device" == cuda ]] || export CUDA_VISIBLE_DEVICES=""
steps="$output/steps.md"
[[ -s "$steps" ]] || printf '| part | step | exit code | seconds |\n| --- | --- | --- | --- |\n' >"$steps"

# step NAME SECONDS COMMAND...: runs the command with a time limit; its output goes to DIR/PART_NAME.log
step() {
    local name="$1" limit="$2" start=$SECONDS code=0 left=$((PART_SECONDS - SECONDS))
    shift 2
    ((limit < left)) || limit=$left
    if ((limit < 1)); then
        code="no time left"
    else
        echo "== $part, $name (at most $limit s)" >&2
        timeout --kill-after=10 "$limit" "$@" >"$output/${part}_$name.log" 2>&1 || code=$?
        tail -n 12 "$output/${part}_$name.log"
    fi
    echo "| $part | $name | $code | $((SECONDS - start)) |" | tee -a "$steps"
}

# kill_after_checkpoint DIR COMMAND...: kills the command when DIR has a checkpoint; its exit code is 137
kill_after_checkpoint() {
    "${@:2}" &
    local process=$!
    until compgen -G "$1/checkpoint*.pt" >/dev/null; do
        kill -0 "$process" || break
        sleep 0.1
    done
    kill -KILL "$process"
    wait "$process"
}
export -f kill_after_checkpoint

json() { echo "--json $output/${part}_$1.json --overwrite"; }

precisions="fp32 bf16 fp16" ours="ours${nvidia:+ nvidia --nvidia $nvidia}"
[[ "$device" == cuda ]] || precisions="fp32 bf16"
network="" length=25 train_batches="128 384" batches="1 32 128 512" repetitions=5
if $small; then
    network="--hidden 32 --vocabulary 60 --layers 2" length=5 train_batches="2 3" batches="1 3" repetitions=1
    network+=" --threads 1"; export OMP_NUM_THREADS=1
fi
measured="--device $device --allow-busy --batches 1 --repetitions $repetitions $network"

part_a() {
    local tests=(-m gpu) sizes=""
    if $small; then tests=(tests/core/network/test_dropout.py) sizes="--hidden 32 --vocabulary 60 --batch 3 --length 5"; fi
    [[ "$device" == cpu ]] || step machine 20 nvidia-smi
    step doctor 60 "$python" -m gnmt doctor
    step parity 100 env NVIDIA_TF32_OVERRIDE=0 "$python" benchmarks/compare_devices.py --device "$device" $sizes \
        $(json parity)
    step tests 120 env NVIDIA_TF32_OVERRIDE=0 "$python" -m pytest -q -p no:cacheprovider "${tests[@]}"
}

part_b() {
    local batch
    for batch in $train_batches; do
        step "training_$batch" 120 "$python" benchmarks/benchmark_training.py --contenders $ours --precision $precisions \
            $measured --batch "$batch" --source-length $length --target-length $length $(json "training_$batch")
    done
}

part_c() {
    local batch
    for batch in $batches; do
        step "translation_$batch" 70 "$python" benchmarks/benchmark_translation.py --contenders $ours --precision \
            $precisions $measured --batch "$batch" --source-length $length --target-length $length --beam 5 \
            $(json "translation_$batch")
    done
}

part_d() {
    local data="$output/data" names=(train valid test) precision=fp16 updates=4500 vocabulary=8000 batch=32
    local network=(--arch gnmt_v2_small --share-decoder-input-output-embed) prepared=()
    [[ "$device" == cuda ]] || precision=bf16
    if $small; then
        updates=400 vocabulary=1200 batch=2 prepared=(--embedding-size 0)
        network=(--arch gnmt_v2_tiny --hidden-size 32)
    fi
    if [[ -n "$corpus" ]]; then
        names=(train val test_2016_flickr)
    else
        corpus="$output/corpus"
        step corpus 30 "$python" examples/grammar_en_de/generate.py --output "$corpus" --overwrite
    fi
    step prepare 60 "$python" -m gnmt prepare --train "$corpus/${names[0]}" --valid "$corpus/${names[1]}" \
        --test "$corpus/${names[2]}" --source-lang en --target-lang de --vocab-size $vocabulary --output "$data" \
        --overwrite "${prepared[@]}"
    local train=("$python" -m gnmt train "$data" --precision "$precision" --max-update "$updates" "${network[@]}")
    train+=(--save-interval-updates 100 --keep-interval-updates 2 --disable-validation)
    step killed 60 bash -c 'kill_after_checkpoint "$@"' bash "$data/checkpoints" "${train[@]}" # 137: killed as intended
    step resumed 140 "${train[@]}"
    local last="$data/checkpoints/checkpoint_last.pt"
    step export 30 "$python" -m gnmt export "$last" "$output/model" --overwrite
    step translate 40 bash -c '"$@" >"$0"' "$output/test.de" "$python" -m gnmt translate "$output/model" \
        "$data/raw/test.en" --device "$device"
    step score 20 "$python" -m gnmt score --hypotheses "$output/test.de" --references "$data/raw/test.de"
    local kind=()
    [[ "$device" == cuda ]] && kind=(--fp16 --fp16-init-scale 64) || kind=(--cpu)
    step refine 60 "$python" -m fairseq_cli.train "$data/bin" --user-dir fairseq_gnmt --task gnmt_translation \
        "${network[@]}" --finetune-from-model "$last" --save-dir "$output/refined" --criterion gnmt_mixed_objective \
        --reward-post-process sentencepiece --optimizer gnmt_adam --lr 1e-4 --lr-scheduler gnmt_warmup_step_decay \
        --warmup-steps 0 --remain-steps 1.0 --clip-norm 5.0 --batch-size $batch --max-update 5 --log-interval 1 \
        --disable-validation --no-save --log-format simple "${kind[@]}"
}

part_e() {
    local precision sizes=""
    if $small; then sizes="--hidden 32 --vocabulary 60 --batch 2 --length 5"; fi
    for precision in $precisions; do
        step "profile_$precision" 80 "$python" benchmarks/profile_steps.py --device "$device" --precision "$precision" $sizes \
            $(json "profile_$precision")
    done
}

"part_$part"
cat "$steps"
