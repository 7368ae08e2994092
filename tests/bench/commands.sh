#!/usr/bin/env bash
# The whole verbs on this machine, beside what one would use instead. Builds the release binary
# once, works in a throwaway home, and leaves nothing running. Wants hyperfine, python3 and curl.
#
#   tests/bench/commands.sh            everything
#   tests/bench/commands.sh --no-build with the binary that is there
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1-}" = --no-build ] || cargo build --release
bin=$PWD/target/release/parachute
work=$(mktemp -d)
out=$work/out
mkdir "$out"
# Shared machines have noisy moments: the median is what counts.
measure=(hyperfine --warmup 3 --style basic --export-json)
clean() { for box in "$work"/box-*; do [ -d "$box" ] && "$bin" --home "$box" stop >/dev/null 2>&1; done; rm -rf "$work"; }
trap clean EXIT
export PARACHUTE_MANAGER=none

free_ports() {
  python3 -c "
import socket, sys
socks = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in socks: s.bind(('127.0.0.1', 0))
print(*[s.getsockname()[1] for s in socks])" "$1"
}

# A box with so many modules that are Python's http.server, all of them up.
box() {
  local home=$work/box-$1 n=0
  mkdir -p "$home/site" && echo ok >"$home/site/health"
  for port in $(free_ports "$1"); do
    n=$((n + 1))
    "$bin" --home "$home" add "m$n" --force --port "$port" --dir "$home/site" -- \
      python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null
  done
  "$bin" --home "$home" start >/dev/null 2>&1 || "$bin" --home "$home" wait --timeout 60
}

# What a shell script does for the same: is the process there, does it answer.
by_hand() {
  cat >"$work/by-hand-$1" <<SH
#!/bin/bash
for file in $work/box-$1/*/run/*.pid; do
  pid=\$(head -n 1 "\$file"); name=\$(basename "\$file" .pid)
  port=\$(tr '\0' '\n' <"/proc/\$pid/environ" | sed -n 's/^PORT=//p')
  read -r age cpu mem <<<"\$(ps -o etimes=,pcpu=,rss= -p "\$pid")"
  code=\$(curl -s -o /dev/null -w '%{http_code}' --max-time 1.5 "http://127.0.0.1:\$port/health")
  echo "\$name \$port \$pid \$age \$cpu \$mem \$code"
done
SH
  chmod +x "$work/by-hand-$1"
}

median() { python3 -c "
import json, sys
for r in json.load(open(sys.argv[1]))['results']: print(f\"{r['median'] * 1000:9.1f} ms  {r['command'].replace('$work', '').replace('$PWD/target/release/', '')}\")" "$1"; }

for count in 5 50; do box "$count"; by_hand "$count"; done
sleep 1
"${measure[@]}" "$out/version" --runs 30 -N "$bin --version" >/dev/null 2>&1
for count in 5 50; do
  "${measure[@]}" "$out/status-$count" --runs 30 -N "$bin --home $work/box-$count status --json" \
    "$work/by-hand-$count" >/dev/null 2>&1
  "$bin" --home "$work/box-$count" stop >/dev/null 2>&1
done
home=$work/box-20
n=0
for port in $(free_ports 20); do
  n=$((n + 1))
  "$bin" --home "$home" add "m$n" --force --port "$port" -- "$bin" __module --bind-after 100 >/dev/null
done
"${measure[@]}" "$out/start" --runs 10 -N --prepare "$bin --home $home stop" "$bin --home $home start" >/dev/null 2>&1
"${measure[@]}" "$out/stop" --runs 10 -N --prepare "$bin --home $home start" "$bin --home $home stop" >/dev/null 2>&1

# The same with a detached hub of ours: the verbs go through its API. And a hub that does not answer.
home=$work/box-managed
for port in $(free_ports 5); do
  "$bin" --home "$home" add "m$port" --force --port "$port" -- "$bin" __module >/dev/null
done
PORT=$(free_ports 1) "$bin" --home "$home" start hub >/dev/null 2>&1
"$bin" --home "$home" wait --timeout 60
"${measure[@]}" "$out/managed" --runs 100 -N "$bin --home $home status --json" \
  "$bin --home $home start" "$bin --home $home start hub" >/dev/null 2>&1
kill -STOP "$(head -n 1 "$home/hub/run/hub.pid")"
"${measure[@]}" "$out/wedged" --runs 3 -i -N "$bin --home $home status --json" >/dev/null 2>&1
kill -CONT "$(head -n 1 "$home/hub/run/hub.pid")"
"$bin" --home "$home" stop >/dev/null 2>&1

printf "%b\n" "   median   (targets: --version 3 ms, status of 5 10 ms, of 50 30 ms, start of 20 600 ms;\n            with a hub: status and start 6 ms, status of a wedged one 3200 ms)"
for file in version status-5 status-50 start stop managed wedged; do median "$out/$file"; done
size=$(stat -c %s "$bin" 2>/dev/null || stat -f %z "$bin")
awk -v n="$size" 'BEGIN { printf "%9.2f MiB the binary (target: 6 MB)\n", n / 1048576 }'
