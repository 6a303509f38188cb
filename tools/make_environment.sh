#!/bin/sh
# Make the virtual environment FOLDER with PYTHON and print which Python it is. An
# environment with another version of Python is replaced.
# make_environment.sh FOLDER PYTHON
set -eu

folder=$1
python=${2:-}
if [ -z "$python" ]; then
  echo "No Python 3.11, 3.12 or 3.13 with venv was found; install one (Debian: apt-get" \
    "install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2
  exit 1
fi
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
version=$(version_of "$python")
case $version in
  3.11 | 3.12 | 3.13) ;;
  *)
    echo "Python $version found, 3.11 to 3.13 needed: make PYTHON=python3.12" >&2
    exit 1
    ;;
esac
echo "Python $version ($python) in $folder"
if [ -e "$folder" ] && [ "$(version_of "$folder/bin/python" 2>/dev/null)" != "$version" ]; then
  exec "$python" -m venv --clear "$folder"
fi
exec "$python" -m venv "$folder"
