# Shared by the scripts: one virtual environment beside the sources. POSIX sh; sourced, never run.

cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
venv="$root/.venv"
# What .venv has for all who work on Yeban; for GPUs and for ModelScope there are environments of their own.
developer_extras=web,worker,cpu,embedded,tracing,dev

# The newest supported interpreter there is, or $PYTHON.
find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "Yeban needs Python 3.11, 3.12 or 3.13 with venv. Install one, or name it in PYTHON=…" >&2
    exit 1
}

# ensure_venv EXTRAS: make .venv if missing and install the project with EXTRAS into it, once per change of setup. Nothing
# is installed where these extras and more are.
ensure_venv() {
    [ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv" || exit 1
    constraints=$(ls "$root"/constraints/py"$("$venv/bin/python" -c 'import sys; print("%d%d" % sys.version_info[:2])')".txt)
    stamp="$venv/.installed"
    setup=$(cat setup.cfg pyproject.toml "$constraints" | cksum)
    if ! has_extras "$stamp" "$setup" "$1"; then
        echo "Installing into $venv …" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --constraint "$constraints" --editable "$root[$1]" || exit 1
        printf '%s\n' "$setup" "$1" >"$stamp"
    fi
}

# has_extras STAMP SETUP EXTRAS: whether STAMP says that at least EXTRAS were installed by SETUP.
has_extras() {
    [ -f "$1" ] && [ "$(sed -n 1p "$1")" = "$2" ] || return 1
    installed=$(sed -n 2p "$1")
    for extra in $(printf '%s' "$3" | tr , ' '); do
        case ",$installed," in *",$extra,"*) ;; *) return 1 ;; esac
    done
}

# gpu_venv EXTRAS: as ensure_venv, in .venv-gpu: the packages for GPUs replace some of those for CPUs. Ends with 2 where
# there is no NVIDIA driver, before anything large is installed.
gpu_venv() {
    if ! "$(find_python)" -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2>/dev/null; then
        echo "This needs an NVIDIA GPU, and there is no NVIDIA driver: libcuda.so.1 not found." >&2
        exit 2
    fi
    venv="$root/.venv-gpu"
    ensure_venv "$1"
}

# models_venv: as ensure_venv, in .venv-parity, with ModelScope and torch beside us. Python 3.11, for which
# constraints/models-py311.txt is made: transformers 4 wants other versions of what else is pinned.
models_venv() {
    PYTHON=${PYTHON:-python3.11}
    venv="$root/.venv-parity"
    [ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv" || exit 1
    constraints="$root/constraints/models-py311.txt"
    stamp="$venv/.installed"
    extras=web,worker,cpu,embedded,dev,models
    wanted=$(cat setup.cfg pyproject.toml "$constraints" | cksum; printf '%s\n' "$extras")
    if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
        echo "Installing into $venv …" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --constraint "$constraints" --editable "$root[$extras]" || exit 1
        printf '%s\n' "$wanted" >"$stamp"
    fi
}
