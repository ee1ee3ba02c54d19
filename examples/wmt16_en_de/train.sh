#!/usr/bin/env bash
# Stage 4: trains on OUTPUT/bin by NVIDIA's recipe; writes a checkpoint per epoch to OUTPUT/checkpoints.
#
#   bash examples/wmt16_en_de/train.sh [options] [-- further options of fairseq-train]
#
# One GPU, all GPUs of a machine, several machines, or the CPU:
#   bash train.sh                                                   all visible GPUs (CUDA_VISIBLE_DEVICES)
#   bash train.sh --gpus 1
#   bash train.sh --nodes 2 --node-rank R --master HOST             on each of two machines, R = 0 and 1, HOST of rank 0
#   sbatch examples/wmt16_en_de/train.sbatch                        the same under Slurm
#   bash train.sh --cpu -- --arch gnmt_v2_tiny --max-update 2 --save-dir DIR       for a trial
#
# --output DIR         same as for the earlier stages (default outputs/wmt16_en_de)
# --gpus N             number of GPUs on this machine (default: all visible ones)
# --cpu                train on the CPU; --processes N runs N processes on this machine (default 1)
# --nodes N, --node-rank R, --master HOST, --port P               number of machines (default 1), number of this machine, machine of rank 0
# --batch-size N       pairs per GPU and step (default 128, or the GPU's share of the global batch if it is smaller);
#                      if the memory is not enough, 64 gives the same training
# --global-batch N     pairs per update on all GPUs together (default 1024; NVIDIA: 2048 on 16 GPUs)
# --epochs N           number of epochs (default 6); the learning-rate schedule is scaled to it
# --fp32               single precision on GPUs (default: half precision with loss scaling)
#
# Options after -- are passed to fairseq-train and take precedence over the recipe. The same command resumes an interrupted
# training run; a finished one is kept.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

MAX_LENGTH=50 # tokens of a training pair's sides, BOS and EOS included

output="outputs/wmt16_en_de" gpus="" cpu=no processes=1 precision=fp16
nodes=1 node_rank=0 master=127.0.0.1 port=29500 batch_size="" global_batch=1024 epochs=6
while [[ $# -gt 0 ]]; do
    case "$1" in
        --output) output="$(option_value "$1" "$@")"; shift 2 ;;
        --gpus) gpus="$(option_value "$1" "$@")"; shift 2 ;;
        --cpu) cpu=yes; shift ;;
        --processes) processes="$(option_value "$1" "$@")"; shift 2 ;;
        --nodes) nodes="$(option_value "$1" "$@")"; shift 2 ;;
        --node-rank) node_rank="$(option_value "$1" "$@")"; shift 2 ;;
        --master) master="$(option_value "$1" "$@")"; shift 2 ;;
        --port) port="$(option_value "$1" "$@")"; shift 2 ;;
        --batch-size) batch_size="$(option_value "$1" "$@")"; shift 2 ;;
        --global-batch) global_batch="$(option_value "$1" "$@")"; shift 2 ;;
        --epochs) epochs="$(option_value "$1" "$@")"; shift 2 ;;
        --fp32) precision=fp32; shift ;;
        --help) print_help "${BASH_SOURCE[0]}"; exit ;;
        --) shift; break ;;
        *) die "unknown option $1; --help lists the options, and options of fairseq-train go after --." ;;
    esac
done
further=("$@")

require_tools fairseq-train torchrun
[[ -d "$output/bin" ]] || die "$output/bin is missing; run prepare.sh with the same --output first."

if [[ "$cpu" == no ]]; then
    visible="$(python -c 'import torch; print(torch.cuda.device_count())')"
    [[ "$visible" -gt 0 ]] || die "no GPU is visible. Check nvidia-smi and CUDA_VISIBLE_DEVICES, or try the recipe with --cpu."
    processes="${gpus:-$visible}"
    require_number --gpus "$processes"
    [[ "$processes" -le "$visible" ]] || die "--gpus is $processes, but $visible are visible."
fi
for setting in processes nodes global_batch epochs; do
    require_number "--${setting//_/-}" "${!setting}"
done

world=$((nodes * processes))
share=$((global_batch / world))
batch_size="${batch_size:-$((share < 128 ? share : 128))}"
require_number --batch-size "$batch_size"
update_freq=$((global_batch / (world * batch_size)))
[[ $((update_freq * world * batch_size)) -eq "$global_batch" ]] ||
    die "$world processes x --batch-size $batch_size do not divide --global-batch $global_batch; choose a --batch-size that does."
updates="$(python "$ROOT/examples/count_updates.py" "$output/bin" \
    --max-length "$MAX_LENGTH" --global-batch "$global_batch" --epochs "$epochs")"

options=("$output/bin" --user-dir "$ROOT/fairseq_gnmt" --save-dir "$output/checkpoints"
    --arch gnmt_v2 --task gnmt_translation --source-lang en --target-lang de --train-max-length "$MAX_LENGTH"
    --criterion gnmt_label_smoothed_cross_entropy --label-smoothing 0.1 --sentence-avg
    --optimizer gnmt_adam --adam-betas '(0.9, 0.999)' --lr 2e-3 --clip-norm 5.0
    --lr-scheduler gnmt_warmup_step_decay --warmup-steps 200 --remain-steps 0.666 --decay-steps 4 --decay-factor 0.5
    --batch-size "$batch_size" --update-freq "$update_freq" --max-update "$updates"
    --save-interval-updates 1000 --keep-interval-updates 1 --log-interval 10 --distributed-world-size "$world")
if [[ "$cpu" == yes ]]; then
    options+=(--cpu)
elif [[ "$precision" == fp16 ]]; then
    options+=(--fp16 --fp16-init-scale "$(loss_scale $((batch_size * update_freq)))" --fp16-scale-window 128)
fi
options+=("${further[@]}")

! already_trained "${options[@]}" || exit 0

say "$updates updates of $global_batch pairs: $world processes x batch $batch_size x update-freq $update_freq"
torchrun=(torchrun --nproc_per_node "$processes")
if [[ "$nodes" -eq 1 ]]; then
    torchrun+=(--standalone)
else
    torchrun+=(--nnodes "$nodes" --node_rank "$node_rank" --master_addr "$master" --master_port "$port")
fi
if [[ "$world" -eq 1 ]]; then
    fairseq-train "${options[@]}"
elif [[ "$cpu" == yes ]]; then # fairseq reads the ranks of torchrun only where it finds GPUs
    "${torchrun[@]}" --no-python bash -c 'exec fairseq-train "$@" --distributed-rank "$RANK"' fairseq-train "${options[@]}" \
        --distributed-no-spawn --distributed-init-method env:// --distributed-backend gloo --ddp-backend legacy_ddp
else
    "${torchrun[@]}" "$(command -v fairseq-train)" "${options[@]}"
fi
[[ "$node_rank" -ne 0 ]] || trained "${options[@]}"
