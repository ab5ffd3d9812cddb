# Starts the hive as a service and returns; says "service=systemd" or
# "service=detached", and "linger=no" where systemd would end it at a logout, for
# which reason it is a detached process.
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
units="$HOME/.config/systemd/user"
lingers() {
  [ "$(loginctl show-user "$(id -un)" -p Linger --value 2>/dev/null)" = yes ] || loginctl enable-linger 2>/dev/null
}

if [ -r "$state/supervise.pid" ] && read -r old <"$state/supervise.pid" && kill "$old" 2>/dev/null; then
  while kill -0 "$old" 2>/dev/null; do sleep 0.1 2>/dev/null || sleep 1; done
fi
if command -v systemctl >/dev/null 2>&1 && systemctl --user show-environment >/dev/null 2>&1; then
  if lingers; then
    mkdir -p "$units"
    printf '%s\n' "$unit" >"$units/rbee-hive.service"
    systemctl --user daemon-reload
    systemctl --user reset-failed rbee-hive.service 2>/dev/null || :
    systemctl --user enable --quiet rbee-hive.service
    systemctl --user restart rbee-hive.service
    echo service=systemd
    exit 0
  fi
  echo linger=no
  if [ -e "$units/rbee-hive.service" ]; then
    systemctl --user disable --quiet --now rbee-hive.service 2>/dev/null || :
    rm -f "$units/rbee-hive.service"
  fi
fi

printf '%s\n' "$supervisor" >"$data/supervise.sh"
set -- "$state" "$data/rbee" --service --name "$name"
if [ -n "$listen" ]; then set -- "$@" --listen "$listen"; fi
cd /
if command -v setsid >/dev/null 2>&1; then
  setsid /bin/sh "$data/supervise.sh" "$@" </dev/null >>"$state/logs/hive.log" 2>&1 &
else
  nohup /bin/sh "$data/supervise.sh" "$@" </dev/null >>"$state/logs/hive.log" 2>&1 &
fi
echo service=detached
