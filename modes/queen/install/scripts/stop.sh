# Ends the hive's service and whatever is left of the hive and its workers.
# $1: data folder, $2: state folder, $3: text of hive.env or "".
data=$1 state=$2
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
export XDG_RUNTIME_DIR
if [ -e "$HOME/.config/systemd/user/rbee-hive.service" ] && command -v systemctl >/dev/null 2>&1; then
  systemctl --user disable --quiet rbee-hive.service 2>/dev/null
  systemctl --user stop rbee-hive.service 2>/dev/null
fi
supervisor=
if [ -r "$state/supervise.pid" ] && read -r supervisor <"$state/supervise.pid"; then
  kill "$supervisor" 2>/dev/null
  rm -f "$state/supervise.pid"
fi
unset RBEE_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME
if [ -r "$state/hive.env" ]; then . "$state/hive.env"; fi
if [ -x "$data/rbee" ] && ! "$data/rbee" hive end; then
  # A binary that cannot run may be why it is to stop: then nothing may be left.
  pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' "$state/hive.pid" 2>/dev/null | head -n 1)
  if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then exit 1; fi
fi
left=100
while [ -n "$supervisor" ] && kill -0 "$supervisor" 2>/dev/null && [ $left -gt 0 ]; do
  left=$((left - 1))
  sleep 0.1 2>/dev/null || sleep 1
done
exit 0
