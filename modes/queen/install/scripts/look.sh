# Tells what this machine is, as KEY=VALUE lines. Changes nothing but for one
# empty file that it makes and removes. $1: a folder for the hive's binary, or "".
say() { printf '%s=%s\n' "$1" "$2"; }

say os "$(uname -s)"
say arch "$(uname -m)"
say home "$HOME"
say user "$(id -un)"
say uid "$(id -u)"
say host "$(hostname 2>/dev/null || uname -n)"
say now "$(date +%s)"

data=${1:-$HOME/.local/share/rbee}
say data "$data"
near=$data
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
say disk_free_kib "$(df -Pk "$near" 2>/dev/null | awk 'NR==2 {print $4}')"
probe="$near/.rbee-probe-$$"
if (printf '#!/bin/sh\nexit 0\n' >"$probe") 2>/dev/null && chmod 700 "$probe" 2>/dev/null; then
  say writable yes
  if "$probe" 2>/dev/null; then say executable yes; else say executable no; fi
else
  say writable no
fi
rm -f "$probe" 2>/dev/null

if [ -r /proc/cpuinfo ]; then
  say cpu "$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo)"
  say cores "$(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c ^processor /proc/cpuinfo)"
  say flags "$(awk -F': ' '/^(flags|Features)/ {print $2; exit}' /proc/cpuinfo)"
  say memory_kib "$(awk '/^MemTotal/ {print $2}' /proc/meminfo)"
  say memory_free_kib "$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)"
elif command -v sysctl >/dev/null 2>&1; then
  say cpu "$(sysctl -n machdep.cpu.brand_string 2>/dev/null)"
  say cores "$(sysctl -n hw.ncpu 2>/dev/null)"
  say memory_kib "$(($(sysctl -n hw.memsize 2>/dev/null || echo 0) / 1024))"
fi
if command -v nvidia-smi >/dev/null 2>&1; then
  limit= # it can hang on a broken card
  if command -v timeout >/dev/null 2>&1; then limit='timeout 10'; fi
  ask() { $limit nvidia-smi --query-gpu="index,name,memory.total,memory.free,driver_version$1" --format=csv,noheader,nounits 2>/dev/null; }
  { rows=$(ask ,compute_cap) || [ $? -ne 2 ] || rows=$(ask ''); } # 2: an old driver that does not know the field
  printf '%s\n' "$rows" | while IFS= read -r line; do case $line in [0-9]*) say gpu "$line" ;; esac; done
fi
n=0
for card in /sys/class/drm/card*/device; do
  if [ "$(cat "$card/vendor" 2>/dev/null)" != 0x1002 ] || [ ! -r "$card/mem_info_vram_total" ]; then continue; fi
  name=$(cat "$card/product_name" 2>/dev/null)
  if [ -z "$name" ]; then name="AMD GPU $(cat "$card/device" 2>/dev/null)"; fi
  total=$(cat "$card/mem_info_vram_total")
  gtt=$(cat "$card/mem_info_gtt_total" 2>/dev/null || echo 0)
  # a GPU in the processor, as only those tell of the northbridge: its memory is the machine's
  if [ "$total" -lt "$gtt" ] && { [ "$total" -lt 2147483648 ] || ls "$card"/hwmon/hwmon*/in1_input >/dev/null 2>&1; }; then total=0; fi
  say amd "$n, $total, $(cat "$card/mem_info_vram_used" 2>/dev/null), $name"
  n=$((n + 1))
done
if [ "$(uname -s)-$(uname -m)" = Darwin-arm64 ]; then say metal "$(sysctl -n machdep.cpu.brand_string)"; fi

runtime=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
if command -v systemctl >/dev/null 2>&1 && XDG_RUNTIME_DIR=$runtime systemctl --user show-environment >/dev/null 2>&1; then
  say systemd yes
fi

state="$HOME/.local/state/rbee"
if [ -r "$state/hive.owner" ]; then say owner "$(head -n 1 "$state/hive.owner")"; fi
if [ -e "$data/rbee" ]; then say current "$(readlink "$data/rbee")"; fi
for b in "$data"/rbee-*; do
  if [ -e "$b" ]; then say binary "${b##*/}"; fi
done
