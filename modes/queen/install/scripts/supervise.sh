# Keeps a hive running where there is no service manager: starts it again when
# it crashes, and ends when it ends by itself. A SIGTERM ends both, by force where
# the hive hangs; its workers go on. $1: state folder, $2: binary; the rest are the hive's
# arguments.
state=$1 binary=$2
shift 2
unset RBEE_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME
if [ -r "$state/hive.env" ]; then . "$state/hive.env"; fi
printf '%s\n' $$ >"$state/supervise.pid"
child=
end() {
  trap - TERM INT
  kill $child 2>/dev/null
  (
    left=50
    while kill -0 $child && [ $left -gt 0 ]; do left=$((left - 1)); sleep 0.1 || sleep 1; done
    kill -9 $child
  ) 2>/dev/null &
  force=$!
  wait $child
  wait $force
  rm -f "$state/supervise.pid"
  exit 0
}
trap end TERM INT
pause=1
while :; do
  began=$(date +%s)
  RBEE_DETACHED=1 "$binary" hive serve "$@" >>"$state/logs/hive.log" 2>&1 </dev/null &
  child=$!
  wait $child && break
  if [ $(($(date +%s) - began)) -gt 60 ]; then pause=1; fi
  printf 'the hive crashed; starting it again in %s s\n' $pause >>"$state/logs/hive.log"
  sleep $pause &
  child=$!
  wait $child
  if [ $pause -lt 30 ]; then pause=$((pause * 2)); fi
done
rm -f "$state/supervise.pid"
