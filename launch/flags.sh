# shellcheck shell=bash
# Flags, dry runs and errors of the launch scripts; sourced, not run. A script sets $script
# (its own name), $values and $switches (its flags) and a default for each.
# shellcheck disable=SC2154

# The exit code of a training that was stopped (SIGTERM) and has saved; see README.md.
# shellcheck disable=SC2034 # read by the scripts
readonly PREEMPTED=75

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "this is bash $BASH_VERSION, 4.4 or newer is needed (macOS: brew install bash)" >&2
  exit 2
fi

# The same on every machine, whatever its locale.
export LC_ALL=C

# fail SENTENCE: ends the script; wrong use is 2.
fail() {
  echo "${script##*/}: $*" >&2
  exit 2
}

# usage: the comment at the head of the script.
usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$script"
}

# read_flags WORD...: --flag VALUE, --flag=VALUE and --switch set the variable of that name
# (- becomes _), if $values or $switches has it; what follows -- becomes $train.
read_flags() {
  local _flag _value
  train=()
  while (($#)); do
    _flag=${1%%=*}
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --)
        # shellcheck disable=SC2034 # read by the scripts
        train=("${@:2}")
        return
        ;;
      --*) _flag=${_flag#--} ;;
      *) fail "unexpected '$1'; flags of the training follow --, see --help" ;;
    esac
    if [[ " $switches " == *" $_flag "* ]]; then
      [[ $1 == "--$_flag" ]] || fail "--$_flag takes no value, got '$1'"
      _value=yes
    elif [[ " $values " != *" $_flag "* ]]; then
      fail "unknown flag --$_flag, see --help"
    elif [[ $1 == *=* ]]; then
      _value=${1#*=}
    else
      _value=${2-}
      shift $(($# > 1))
    fi
    [[ -n $_value && $_value != --* ]] || fail "--$_flag needs a value, see --help"
    printf -v "${_flag//-/_}" %s "$_value"
    shift
  done
}

# need NAME...: these flags are required.
need() {
  local _flag
  for _flag; do
    [[ -n ${!_flag} ]] || fail "--${_flag//_/-} is missing, see --help"
  done
}

# need_number NAME MIN: the flag is a whole number, MIN or more.
need_number() {
  if ! [[ ${!1} =~ ^[0-9]{1,9}$ ]] || ((10#${!1} < $2)); then
    fail "--${1//_/-} is '${!1}', expected a whole number, $2 or more"
  fi
}

# need_train: flags of the training were given.
need_train() {
  ((${#train[@]})) ||
    fail "nothing to train; expected -- --config FILE --workdir DIR at the end"
}

# need_bucket: the workdir of the training outlives the machine.
need_bucket() {
  need_train
  [[ " ${train[*]}" =~ \ --workdir[=\ ]gs:// ]] ||
    fail "expected --workdir gs://BUCKET/RUN after --: these machines and their disks vanish"
}

# quoted WORD...: one line that bash reads as these words.
quoted() {
  local word line=''
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
    line+=" $word"
  done
  echo "${line# }"
}

# run WORD...: run the command; with --dry-run only print it.
run() {
  if [[ -n $dry_run ]]; then
    quoted "$@"
  else
    "$@"
  fi
}
