#!/usr/bin/env bash
# clean.sh quick: outputs/ and data/processed.  clean.sh all: also caches and the virtual environment.
# Never touches data/raw, nor anything outside the project: a symbolic link is removed, not followed.
set -euo pipefail
shopt -s nullglob

if [ $# -ne 1 ] || { [ "$1" != quick ] && [ "$1" != all ]; }; then
  echo "usage: ./clean.sh quick|all" >&2
  exit 2
fi
cd "$(dirname "$(readlink -f "$0")")"
raw="$(readlink -f data/raw || true)"
removed=0

remove() {
  local path
  for path in "$@"; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    if [ -L "${path%/*}" ] && [ "${path%/*}" != "$path" ]; then
      echo "left alone: $path lies behind a link"
    elif [ ! -L "$path" ] && [[ "$raw/" == "$(readlink -f "$path")/"* ]]; then
      echo "left alone: $path holds the books of data/raw"
    else
      echo "removing $path"
      rm -rf -- "$path"
    fi
    removed=$((removed + 1))
  done
}

remove outputs data/processed
if [ "$1" = all ]; then
  remove .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info src/*.egg-info
  for folder in src tests scripts benchmarks; do
    [ -d "$folder" ] || continue
    while IFS= read -r -d '' cache; do
      remove "$cache"
    done < <(find "$folder" -name __pycache__ -type d -prune -print0)
  done
fi
[ "$removed" -gt 0 ] || echo "nothing to remove"
