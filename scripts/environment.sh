#!/usr/bin/env bash
# Builds .venv in the checkout with this project and extras of pyproject.toml, in the versions of constraints.txt.
#
#   bash scripts/environment.sh                            all extras (dev); a later run reuses the environment
#   bash scripts/environment.sh fairseq plots              adds these extras to the installed ones
#   PYTHON=/path/to/python3.12 bash scripts/environment.sh selects the interpreter
#
# pip's environment variables apply. On a machine without a GPU, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds,
# which saves several GB; otherwise, torch with CUDA is installed on Linux.
if [[ "${BASH_SOURCE[0]}" != "$0" ]]; then  # sourced: `exit` and `set -e` would act on the caller's own shell
    echo "Run it instead of sourcing it: bash ${BASH_SOURCE[0]}" >&2
    return 1
fi
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
stamp="$venv/environment.stamp"  # describes the finished environment; "unfinished" while it is being built
log="$venv/pip.log"
[[ -t 1 ]] || export PIP_PROGRESS_BAR="${PIP_PROGRESS_BAR:-off}"
wanted_kib=$((2 * 1024 * 1024))  # 1.3 GB with the CPU build of torch, and room for pip to unpack it

say() { printf '%s\n' "$*"; }
fail() { printf 'environment.sh: %s\n' "$*" >&2; exit 1; }

# Prints, for example, "3.11 Linux x86_64" for the interpreter $1; nothing if it does not run. Also valid in Python 2.
describe() {
    "$1" -c 'import platform, sys; print("%d.%d %s %s" % (sys.version_info[:2] + (platform.system(), platform.machine())))' \
        2>/dev/null || true
}

# Exits with 1 if there is no wheel of fairseq for $1, a result of `describe`; see pyproject.toml.
has_fairseq_wheel() { [[ "$1" == "3.11 Linux x86_64" || "$1" == "3.12 Linux x86_64" ]]; }

# Prints the first suitable interpreter, or fails with the reason.
choose_python() {
    local candidates=(python3.11 python3.12 python3) candidate description too_old="" no_wheel=""
    [[ -z "${PYTHON:-}" ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        description="$(describe "$candidate")"
        case "$description" in
            "") ;;
            2.* | 3.[0-9]\ * | 3.10\ *) too_old="$candidate is Python ${description%% *}" ;;
            *) if ! wants fairseq || has_fairseq_wheel "$description"; then say "$candidate"; return; fi
                no_wheel="$candidate is Python $description" ;;
        esac
    done
    local remedy="install Python 3.11 or select one with PYTHON=/path/to/python3.11 before the command."
    [[ -z "$no_wheel" ]] || fail "$no_wheel, for which there is no wheel of fairseq: use Python 3.11 or 3.12 on Linux x86_64" \
        "(PYTHON=/path/to/python3.11 selects one), or see \"Installing fairseq elsewhere\" in docs/installation.md."
    [[ -z "$too_old" ]] || fail "$too_old, but 3.11 or 3.12 is needed: $remedy"
    fail "No Python was found that runs (tried ${candidates[*]}): $remedy"
}

# Prints the lines of the stamp: folder (scripts in .venv contain its name), interpreter, requirements, extras.
describe_environment() {
    "$venv/bin/python" -I - "$root" "${extras[*]}" <<'PYTHON_CODE'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
requirements = b"".join((root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
print(root, sys.version.split()[0], hashlib.sha256(requirements).hexdigest(), sys.argv[2], sep="\n")
PYTHON_CODE
}

# Prints the names of the extras in pyproject.toml, separated by spaces.
known_extras() {
    awk '/^\[/ {inside = $0 == "[project.optional-dependencies]"} inside && /^[a-z]+ = / {printf "%s ", $1}' "$root/pyproject.toml"
}

# Exits with 0 if the extras include $1; dev includes all.
wants() { [[ " ${extras[*]} " =~ " $1 "|" dev " ]]; }

# Adds the extras that are installed in .venv, in the order of pyproject.toml, because other scripts may need them.
add_installed_extras() {
    local extra all=()
    [[ ! -f "$stamp" ]] || extras+=($(tail -n +4 -- "$stamp"))
    for extra in $(known_extras); do
        ! wants "$extra" || all+=("$extra")
    done
    extras=("${all[@]}")
    ! wants dev || extras=(dev)
}

# Exits with 0 if fairseq is installed in .venv; importing it would take seconds.
has_fairseq() { "$venv/bin/python" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("fairseq"))' 2> /dev/null; }

# Exits with 0 if .venv runs, has not been moved, and has the interpreter of PYTHON, if PYTHON is set.
usable() {
    local description built_in
    description="$(describe "$venv/bin/python")"
    [[ -n "$description" ]] || return 1
    [[ -z "${PYTHON:-}" || "$(describe "$PYTHON")" == "$description" ]] || return 1
    if [[ -f "$stamp" ]]; then
        read -r built_in < "$stamp"
        [[ "$built_in" == "$root" ]] || return 1  # also "unfinished"
    fi
    ! wants fairseq || has_fairseq_wheel "$description" || has_fairseq
}

finished() {
    add_installed_extras
    usable && [[ -f "$stamp" && "$(cat "$stamp")" == "$(describe_environment)" ]]
}

create() {
    local python free_kib
    if [[ -e "$venv" && ! -f "$stamp" && -n "$(ls -A "$venv")" ]]; then
        fail "$venv was not made by this script and does not fit (Python 3.11 or 3.12 that runs, with fairseq elsewhere): move it away."
    fi
    python="$(choose_python)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)."
    free_kib="$(df -Pk -- "$root" | awk 'NR == 2 {print $4}')"
    ((free_kib >= wanted_kib)) ||
        fail "Only $((free_kib / 1024)) MB are free in $root, but the environment needs about 2 GB (7 GB with CUDA): make room there."
    say "Making the virtual environment $venv with $python."
    { rm -rf -- "$venv" && mkdir -- "$venv" && say unfinished > "$stamp"; } 2>/dev/null ||
        fail "$venv cannot be written: make $root writable for you, or copy the project to a folder that is."
    "$python" -m venv "$venv" > "$log" 2>&1 || fail "$python could not make the virtual environment: the reason is in $log."
}

# Fails with a sentence about pip's failure, from its log.
explain_pip() {
    local reason
    if grep -qi 'no space left' "$log"; then
        reason="the disk is full, make room in $root and ${TMPDIR:-/tmp} (about 2 GB, 7 GB for torch with CUDA)"
    elif grep -qE 'Retry\(total=0|connection error|ssl certificate|ConnectionError|ConnectTimeout|ReadTimeoutError' "$log"; then
        reason="the package index could not be reached, check the network (HTTPS_PROXY, PIP_INDEX_URL), then run again"
    else
        reason="$(grep -m 1 'ERROR: ' "$log" || tail -n 1 -- "$log")"
        reason="${reason#*ERROR: }"
    fi
    fail "pip could not install the packages: ${reason:-the reason stands above}. Its full log is $log."
}

install() {
    local list="${extras[*]}"
    say "Installing the packages of pyproject.toml (extras: ${list// /, }) in the versions of constraints.txt; this takes minutes the first time (log: $log)."
    : > "$log"
    (cd -- "$root" && "$venv/bin/python" -m pip install --disable-pip-version-check --log "$log" --quiet \
        -c constraints.txt -e ".[${list// /,}]") 2>> "$log" || explain_pip
    describe_environment > "$stamp.new"
    mv -- "$stamp.new" "$stamp"
    say "The environment is ready in $venv."
}

extras=("$@")
[[ $# -gt 0 ]] || extras=(dev)
known="$(known_extras)"
for extra in "${extras[@]}"; do
    [[ " $known" == *" $extra "* ]] || fail "There is no extra '$extra'; pyproject.toml has ${known% }."
done
finished && exit 0
# Two simultaneous runs would damage the environment. Without locks (no flock, some network disks), continue without waiting.
exec 9< "$root/pyproject.toml"
if command -v flock > /dev/null && ! flock -n 9; then
    say "Waiting for another run that builds $venv."
    flock 9 || true
    finished && exit 0
fi
usable || create
install
