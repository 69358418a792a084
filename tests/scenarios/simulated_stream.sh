#!/usr/bin/env bash
# `rollcall simulate` has a master's v1 API: a subscriber is told of every change that is asked for, and put together they are the state.
. "$(dirname "$0")/lib.sh"
port=$(free_port) master="127.0.0.1:$port"
"$rollcall" simulate --agents 10 --tasks 200 --seed 5 --heartbeat-ms 200 --listen "$master" >"$work/simulate.log" 2>&1 &
pids+=($!)
until_true 10 curl -sf "http://$master/state"
v1() { curl -sf -X POST -H 'Content-Type: application/json' -H 'Accept: application/json' -d "{\"type\":\"$1\"}" "http://$master/api/v1"; }
ask_for() { curl -sf -X POST "http://$master/simulate/$1" >/dev/null || fail "$1 was not granted"; }

curl -sN -X POST -H 'Content-Type: application/json' -d '{"type":"SUBSCRIBE"}' "http://$master/api/v1" >"$work/stream" 2>"$work/curl.log" &
pids+=($!)
until_true 10 grep -q SUBSCRIBED "$work/stream"
ask_for 'step?count=20'
ask_for 'agent?index=3&do=lose'
ask_for 'step-app?name=web'
ask_for 'agent?index=3&do=return'
ask_for 'framework?do=add&name=late&app=x&tasks=3'
ask_for 'framework?index=1&do=tear-down'
until_true 10 grep -q FRAMEWORK_REMOVED "$work/stream"
until_true 10 sh -c "[ \$(grep -c HEARTBEAT '$work/stream') -ge 3 ]"

# The tasks that a reader of the records is left with.
followed() {
    python3 - "$work/stream" <<'PY'
import json, sys
octets, tasks = open(sys.argv[1], "rb").read(), set()
while b"\n" in octets:
    length, _, rest = octets.partition(b"\n")
    event, octets = json.loads(rest[:int(length)]), rest[int(length):]
    if event["type"] == "SUBSCRIBED":
        tasks |= {t["task_id"]["value"] for t in event["subscribed"]["get_state"]["get_tasks"]["tasks"]}
    elif event["type"] == "TASK_ADDED":
        tasks.add(event["task_added"]["task"]["task_id"]["value"])
    elif event["type"] == "TASK_UPDATED" and event["task_updated"]["state"] not in ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"):
        tasks.remove(event["task_updated"]["status"]["task_id"]["value"])
print("\n".join(sorted(tasks)))
PY
}
want=$(curl -sf "http://$master/state" | jq -r '.frameworks[].tasks[].id' | LC_ALL=C sort)
[ -n "$want" ] && [ "$(followed)" = "$want" ] || fail "the stream tells of other tasks than /state"
[ "$(v1 GET_STATE | jq -r '.get_state.get_tasks.tasks[].task_id.value' | LC_ALL=C sort)" = "$want" ] || fail "GET_STATE has other tasks than /state"

# Faults come and go.
ask_for 'state?do=status&status=503'
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$master/state")" = 503 ] || fail "no 503"
ask_for 'state?do=normal'
ask_for 'stream?do=disconnect'
until_true 10 sh -c "[ \$(curl -sf http://$master/simulate/counts | jq .streams_open) -eq 0 ]"
