# Starts the hive as a service and returns; says "service=systemd" or
# "service=detached", and "linger=no" where a logout would end it.
# $1: data folder, $2: state folder, $3: hive's name, $4: address to listen on
# or "", $5: file of the supervisor's text, $6: unit file's text,
# $7: text of hive.env, or "".
set -e
umask 077
data=$1 state=$2 name=$3 listen=$4 supervisor=$5 unit=$6 settings=$7
mkdir -p "$state/logs"
if [ -n "$settings" ]; then printf '%s\n' "$settings" >"$state/hive.env"; else rm -f "$state/hive.env"; fi

XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
export XDG_RUNTIME_DIR
if command -v systemctl >/dev/null 2>&1 && systemctl --user show-environment >/dev/null 2>&1; then
  units="$HOME/.config/systemd/user"
  mkdir -p "$units"
  printf '%s\n' "$unit" >"$units/rbee-hive.service"
  systemctl --user daemon-reload
  systemctl --user reset-failed rbee-hive.service 2>/dev/null || :
  systemctl --user enable --quiet rbee-hive.service
  systemctl --user restart rbee-hive.service
  echo service=systemd
  if [ "$(loginctl show-user "$(id -un)" -p Linger --value 2>/dev/null)" != yes ] &&
    ! loginctl enable-linger 2>/dev/null; then
    echo linger=no
  fi
  exit 0
fi

if [ -r "$state/supervise.pid" ] && read -r old <"$state/supervise.pid" && kill "$old" 2>/dev/null; then
  while kill -0 "$old" 2>/dev/null; do sleep 0.1 2>/dev/null || sleep 1; done
fi
printf '%s\n' "$supervisor" >"$data/supervise.sh"
set -- "$state" "$data/rbee" --name "$name"
if [ -n "$listen" ]; then set -- "$@" --listen "$listen"; fi
cd /
if command -v setsid >/dev/null 2>&1; then
  setsid /bin/sh "$data/supervise.sh" "$@" </dev/null >>"$state/logs/hive.log" 2>&1 &
else
  nohup /bin/sh "$data/supervise.sh" "$@" </dev/null >>"$state/logs/hive.log" 2>&1 &
fi
echo service=detached
