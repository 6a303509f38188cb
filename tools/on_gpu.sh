#!/bin/sh
# Measure the project on a machine with an NVIDIA GPU, in at most ten minutes: parity,
# training steps, attention, evaluation. The report is OUT/report.json and OUT/report.md.
# tools/on_gpu.sh OUT [--scale tiny] [--seconds 540]
#
# PYTHON is the interpreter, by default that of .venv, else python3. If its packages are
# incomplete, WHEELS is a folder of wheels that are installed for this run only. LIMIT is
# the time after which the process is killed, in seconds.
set -eu

[ $# -gt 0 ] || {
  echo "error: no folder for the report; usage: tools/on_gpu.sh OUT [FLAGS]" >&2
  exit 2
}
out=$1
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."

if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python
fi
site=
if [ -n "${WHEELS:-}" ]; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" \
    "$WHEELS"/*.whl
fi
if command -v nvidia-smi >/dev/null; then
  nvidia-smi >"$out/nvidia-smi.txt"
fi
# The report is written after each measurement; what runs at the limit is lost.
status=0
PYTHONPATH="$PWD${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 \
  timeout "${LIMIT:-590}" "$PYTHON" benchmarks/accelerator.py --out "$out" "$@" || status=$?
[ ! -f "$out/report.md" ] || cat "$out/report.md"
# 124: the time is over, as expected for the full scale.
[ "$status" -eq 124 ] || exit "$status"
