# Removes what installing made. The hive has ended before. $1: data folder,
# $2: state folder, $3: folder of the models to remove too, with the engines that
# lie beside it, or "".
data=$1 state=$2 models=$3
unit="$HOME/.config/systemd/user/rbee-hive.service"
if [ -e "$unit" ]; then
  rm -f "$unit"
  XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user daemon-reload 2>/dev/null
fi
rm -f "$data"/rbee "$data"/rbee-* "$data"/supervise.sh "$data"/.rbee-*
rm -rf "$state/workers" "$state/jobs/hive"
rm -f "$state"/hive.sock "$state"/hive.pid "$state"/hive.pid.lock "$state"/hive.owner "$state"/hive.env "$state"/hive.environment "$state"/hive.token "$state"/supervise.pid "$state"/logs/hive.log
if [ -n "$models" ]; then
  rm -rf "$models" "$(dirname "$models")/engines"
  rmdir "$(dirname "$models")" 2>/dev/null
fi
rm -f "$HOME/.cache/rbee/bin/last.json"
rmdir "$HOME/.cache/rbee/bin" "$HOME/.cache/rbee/engines" "$HOME/.cache/rbee" 2>/dev/null
rmdir "$state/jobs" "$state/logs" "$state" "$data" 2>/dev/null
exit 0
