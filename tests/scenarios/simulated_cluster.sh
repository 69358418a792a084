#!/usr/bin/env bash
# `rollcall simulate` stands in for a master: another rollcall reads it, through a standby that redirects, and serves every task.
. "$(dirname "$0")/lib.sh"
master_port=$(free_port) standby_port=$(free_port) dns_port=$(free_port) http_port=$(free_port)
"$rollcall" simulate --agents 20 --tasks 400 --churn 0 --seed 7 --listen "127.0.0.1:$master_port" >"$work/simulate.log" 2>&1 &
pids+=($!)
until_true 10 curl -sf "http://127.0.0.1:$master_port/master/state"
"$rollcall" simulate --agents 20 --tasks 400 --churn 0 --seed 7 --listen "127.0.0.1:$standby_port" --standby "127.0.0.1:$master_port" >"$work/standby.log" 2>&1 &
pids+=($!)
redirected() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$standby_port/state" | grep -q 307; }
until_true 10 redirected

cat >"$work/config.json" <<JSON
{"masters": ["127.0.0.1:$standby_port"], "refreshSeconds": 60, "port": $dns_port, "httpport": $http_port, "listener": "127.0.0.1", "httplistener": "127.0.0.1"}
JSON
start_rollcall "$work/config.json"
running=$(curl -sf "http://127.0.0.1:$master_port/state" | jq '[.frameworks[].tasks[] | select(.state == "TASK_RUNNING")] | length')
served=$(curl -sf "http://127.0.0.1:$http_port/v1/enumerate" | jq '[.frameworks[].tasks[]] | length')
[ "$running" -gt 0 ] && [ "$running" -eq "$served" ] || fail "$running tasks run, $served are served"

# Every name of the API is a name of DNS, with the same addresses.
curl -sf "http://127.0.0.1:$http_port/v1/axfr" | jq -r '.Records.As | to_entries | .[:60][] | "\(.key) \(.value | sort | join(","))"' >"$work/names"
while read -r name want; do
    got=$(ask "$name" A +tcp | LC_ALL=C sort | paste -sd,)
    want=$(tr , '\n' <<<"$want" | LC_ALL=C sort | paste -sd,)
    [ "$got" = "$want" ] || fail "$name: DNS has $got, HTTP has $want"
done <"$work/names"
