#!/bin/sh
# Print the first Python of the given minor versions, by default 13 12 11, that can make a
# virtual environment: in the search path, else installed by pyenv. Prints nothing if there
# is none.
# find_python.sh [MINOR ...]
set -eu

usable() { # COMMAND MINOR
  "$1" -c "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, $2))" \
    >/dev/null 2>&1
}

[ $# -gt 0 ] || set -- 13 12 11
for minor in "$@"; do
  # A shim of pyenv for a version that is not selected exits with an error.
  for command in "python3.$minor" python3 python; do
    if usable "$command" "$minor"; then
      command -v "$command"
      exit 0
    fi
  done
  for command in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python; do
    if usable "$command" "$minor"; then
      echo "$command"
      exit 0
    fi
  done
done
