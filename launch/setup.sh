# What launch/build, launch/quickstart, launch/test, launch/plot and launch/compare share: Debian packages, LibTorch,
# Python tools, small data sets, the build.
# Sourced, not run. Every step first looks whether it is done, so that a second run costs a second or two.
# shellcheck shell=bash

set -euo pipefail

readonly COPPICE_ROOT="${COPPICE_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
readonly DEPS="$COPPICE_ROOT/.deps"

# Debian package names. The command itself, then what only the tests need.
readonly BUILD_PACKAGES=(g++ cmake ninja-build ccache mold pkg-config python3-venv
  libopenmpi-dev openmpi-bin libyaml-cpp-dev libcli11-dev libfmt-dev libzip-dev zlib1g-dev
  libonnx-dev libprotobuf-dev libssl-dev libboost1.81-dev
  dataset-fashion-mnist bible-kjv)
readonly TEST_PACKAGES=(libgtest-dev clang-tidy clang-format shellcheck)

# From the Python index. The first set is all that LibTorch needs on a machine without a GPU.
readonly TORCH_VERSION=2.11.0
readonly TORCH_CPU=("torch==$TORCH_VERSION" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
readonly TORCH_CUDA=("torch==$TORCH_VERSION")
readonly NUMPY=numpy==2.4.6
readonly PYTHON_TOOLS=("$NUMPY" safetensors==0.8.0 onnxruntime==1.31.1)  # independent readers of what we write
readonly PLOT_TOOLS=(matplotlib==3.11.2 "$NUMPY" contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1
  packaging==26.3 pillow==13.0.0 pyparsing==3.3.3 python-dateutil==4.0.0 tzdata==2026.6)  # matplotlib and all it needs
readonly SKLEARN=scikit-learn==1.9.1

STAGES=()
STAGE_START=$SECONDS

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# stage NAME COMMAND...: runs the command and remembers how long it took. Not under `if` or `||`, where bash would
# run on after an error.
stage() {
  local name=$1 start=$SECONDS
  shift
  printf '== %s\n' "$name"
  "$@"
  STAGES+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

print_stages() {
  printf '== time taken\n'
  printf '%s\n' "${STAGES[@]}"
  printf '%6d s  in all\n' $((SECONDS - STAGE_START))
}

# Parallel compilations: one a core, and 3 GiB of memory for each (files that see LibTorch take up to 1.2).
build_jobs() {
  local cores memory_kib limit jobs
  cores=$(nproc)
  memory_kib=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)
  if limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) && [[ $limit =~ ^[0-9]+$ ]]; then
    ((limit / 1024 < memory_kib)) && memory_kib=$((limit / 1024))
  fi
  jobs=$((memory_kib / (3 * 1024 * 1024)))
  ((jobs > cores)) && jobs=$cores
  ((jobs < 1)) && jobs=1
  printf '%d' "$jobs"
}

# install_packages NAME...: installs those that are missing, as root or through sudo.
install_packages() {
  local missing=() name installed as_root=()
  if ! command -v dpkg-query >/dev/null; then
    printf 'This is no Debian system: the packages cannot be checked. Needed are, by their Debian names:\n  %s\n' "$*"
    printf 'If the build below fails, install what it asks for.\n'
    return 0
  fi
  installed=$(dpkg-query -W -f=' ${Package}=${db:Status-Status} ' "$@" 2>/dev/null || true)
  for name in "$@"; do
    [[ $installed == *" $name=installed "* ]] || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then
    printf 'all %d packages are installed\n' $#
    return 0
  fi
  if ! command -v apt-get >/dev/null; then
    fail "missing packages: ${missing[*]}; there is no apt-get here: install them by other means"
  fi
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail "missing packages: ${missing[*]}; run as root: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  printf 'installing %s\n' "${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >"$DEPS/apt.log" ||
    fail "apt-get install failed; its output is in $DEPS/apt.log"
}

has_gpu() {
  command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1
}

# LibTorch and small Python tools in a private environment. The stamp names what is installed; a mark that stands
# while pip works makes an interrupted installation start over.
install_libtorch() {
  local wanted stamp="$DEPS/libtorch.stamp" mark="$DEPS/libtorch.installing" python="$DEPS/venv/bin/python"
  local torch=("${TORCH_CPU[@]}") no_deps=(--no-deps)
  if has_gpu; then
    torch=("${TORCH_CUDA[@]}")
    no_deps=()
  fi
  wanted="${torch[*]} ${PYTHON_TOOLS[*]}"
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && compgen -G "$DEPS/venv/lib/*/site-packages/torch/lib/libtorch_cpu.so" >/dev/null; then
    printf 'LibTorch %s is installed in %s\n' "$TORCH_VERSION" "$DEPS/venv"
    return 0
  fi
  [[ -f $mark ]] && rm -rf "$DEPS/venv"
  rm -f "$stamp"
  touch "$mark"
  [[ -x $python ]] || /usr/bin/python3 -m venv "$DEPS/venv"
  pip_install "${no_deps[@]}" "${torch[@]}"
  pip_install --no-deps "${PYTHON_TOOLS[@]}"
  libtorch_is_whole || fail "$DEPS/venv lacks files of LibTorch after its installation; remove it and try again"
  printf '%s\n' "$wanted" >"$stamp"
  rm -f "$mark"
}

# What launch/plot draws with, in the same private environment. The stamp lies inside it and goes with it.
install_plot_tools() {
  local wanted="${PLOT_TOOLS[*]}" stamp="$DEPS/venv/plot.stamp" python="$DEPS/venv/bin/python"
  [[ -x $python && -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
  printf 'installing %s into %s\n' "${PLOT_TOOLS[0]}" "$DEPS/venv"
  [[ -x $python ]] || install_packages python3-venv
  [[ -x $python ]] || /usr/bin/python3 -m venv "$DEPS/venv"
  pip_install --no-deps "${PLOT_TOOLS[@]}"
  printf '%s\n' "$wanted" >"$stamp"
}

# What launch/compare measures against; there already where LibTorch was installed.
install_compare_tools() {
  local python="$DEPS/venv/bin/python"
  has_python_tools && return 0
  printf 'installing %s into %s\n' "${PYTHON_TOOLS[*]}" "$DEPS/venv"
  [[ -x $python ]] || install_packages python3-venv
  [[ -x $python ]] || /usr/bin/python3 -m venv "$DEPS/venv"
  pip_install --no-deps "${PYTHON_TOOLS[@]}"
}

has_python_tools() {
  [[ -x $DEPS/venv/bin/python ]] && "$DEPS/venv/bin/python" - "${PYTHON_TOOLS[@]}" 2>/dev/null <<'PYTHON'
import importlib.metadata, sys
sys.exit(any(importlib.metadata.version(name) != version for name, version in (tool.split("==") for tool in sys.argv[1:])))
PYTHON
}

pip_install() {
  "$DEPS/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" ||
    fail "pip could not install $*; is the Python index reachable?"
}

# Every file that the wheels list is there with its length. Seconds, where hashing 1.3 GB would take many.
libtorch_is_whole() {
  "$DEPS/venv/bin/python" - <<'PYTHON' 2>/dev/null
import importlib.metadata, os, sys
for name in ("torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti", "numpy", "safetensors", "onnxruntime"):
    for file in importlib.metadata.distribution(name).files:
        if file.size is not None and os.path.getsize(file.locate()) != file.size:
            sys.exit(1)
PYTHON
}

# The digits and other small tables that scikit-learn carries, without scikit-learn.
install_sklearn_data() {
  local data="$DEPS/data" download
  if [[ -f $data/digits.csv.gz && -f $data/scikit-learn.COPYING ]]; then
    printf 'the small data sets are in %s\n' "$data"
    return 0
  fi
  download=$(mktemp -d "$DEPS/sklearn.XXXXXX")
  "$DEPS/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
    --only-binary :all: --dest "$download" "$SKLEARN" || fail "pip could not download $SKLEARN"
  mkdir -p "$data"
  "$DEPS/venv/bin/python" - "$download" "$data" <<'PYTHON'
import pathlib, re, sys, zipfile
download, data = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(download.glob("*.whl"))) as wheel:
    names = wheel.namelist()
    wanted = {name: name.rsplit("/", 1)[1] for name in names if re.fullmatch(r"sklearn/datasets/data/\w+\.csv(\.gz)?", name)}
    wanted[next(name for name in names if name.endswith("/COPYING"))] = "scikit-learn.COPYING"
    for name in sorted(wanted, key=lambda name: name.endswith("/COPYING")):  # the licence last: it marks the end
        (data / wanted[name]).write_bytes(wheel.read(name))
PYTHON
  rm -rf "$download"
}

# One set-up at a time in a checkout; the lock goes with the process.
lock_dependencies() {
  mkdir -p "$DEPS"
  exec 9>"$DEPS/lock"
  flock -n 9 || {
    printf 'another set-up is at work in %s; waiting for it\n' "$COPPICE_ROOT"
    flock 9
  }
}

# prepare build|tests: everything that the build stands on, and for `tests` what only they need.
prepare() {
  local packages=("${BUILD_PACKAGES[@]}")
  [[ $1 == tests ]] && packages+=("${TEST_PACKAGES[@]}")
  lock_dependencies
  stage "Debian packages" install_packages "${packages[@]}"
  stage "LibTorch" install_libtorch
  stage "small data sets" install_sklearn_data
  exec 9>&-
}

# build PRESET [TARGET...]: configures and builds.
build() {
  local preset=$1 targets=()
  shift
  (($# > 0)) && targets=(--target "$@")
  cd "$COPPICE_ROOT"
  cmake --preset "$preset" --log-level=WARNING
  cmake --build --preset "$preset" --parallel "$(build_jobs)" "${targets[@]}"
}
