#!/usr/bin/env bash
# clean.sh quick: outputs/ and data/processed.  clean.sh all: also caches and the virtual environment.
# Never touches data/raw, nor anything outside the project: a symbolic link is removed, not followed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

remove() {
  local path
  for path in "$@"; do
    if [ -L "${path%/*}" ] && [ "${path%/*}" != "$path" ]; then
      echo "left alone: $path lies behind a link"
    elif [ -e "$path" ] || [ -L "$path" ]; then
      echo "removing $path"
      rm -rf -- "$path"
    fi
  done
}

case "${1:-}" in
  quick|all) ;;
  *) echo "usage: ./clean.sh quick|all" >&2; exit 2 ;;
esac
remove outputs data/processed
if [ "$1" = all ]; then
  remove .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/tiny_diffusion.egg-info
  while IFS= read -r -d '' folder; do
    remove "$folder"
  done < <(find src tests scripts benchmarks -name __pycache__ -type d -print0 2>/dev/null)
fi
