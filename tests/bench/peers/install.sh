# The peers' virtual environments: one a peer, and one with PyTorch that the others see.
# Sourced, not run. An environment is whole when its stamp names what was asked for; anything else is made anew.
# shellcheck shell=bash

readonly PYTHON=/usr/bin/python3
readonly TORCH=torch==2.11.0  # the version that Coppice builds on (launch/setup.sh)

# What pip is asked for. flwr without a version: pip takes the newest release that can be installed on the day, and
# results.jsonl names it.
packages_of() {
  case $1 in
    torch) printf '%s\n' "$TORCH" numpy==2.4.6 ;;
    pfl) printf '%s\n' 'pfl[pytorch]==0.6.0' ;;
    flwr) printf '%s\n' 'flwr[simulation]' ;;
    *) fail "no environment for '$1'" ;;
  esac
}

site_of() {
  "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

# make_environment NAME FOLDER
make_environment() {
  local name=$1 folder=$2/$1 torch=$2/torch wanted
  wanted=$(packages_of "$name")
  [[ -x $folder/bin/python && -f $folder/stamp && $(<"$folder/stamp") == "$wanted" ]] && return 0
  printf 'installing %s into %s\n' "${wanted//$'\n'/ }" "$folder" >&2
  rm -rf "$folder"
  "$PYTHON" -m venv "$folder" || fail "$PYTHON cannot make $folder (Debian package python3-venv)"
  # PyTorch takes gigabytes, so it stands on the disk once. Its folder comes last in the search path: where a peer
  # wants another version of a small package, its own wins.
  [[ $name == torch ]] || site_of "$torch" >"$(site_of "$folder")/torch.pth"
  mapfile -t wanted_packages <<<"$wanted"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${wanted_packages[@]}" ||
    fail "pip could not install ${wanted_packages[*]}; is the Python index reachable?"
  "$folder/bin/python" -c 'import torch' || fail "$folder cannot import torch; remove $2 and try again"
  printf '%s\n' "$wanted" >"$folder/stamp"
}
