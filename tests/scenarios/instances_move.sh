#!/usr/bin/env bash
# A deployment: one instance ends, another starts elsewhere. Names follow within a refresh, and other names stay as they were.
. "$(dirname "$0")/lib.sh"
cluster
addresses() { ask app.marathon.mesos A | sort | paste -sd' '; }
is() { [ "$(addresses)" = "$1" ]; }
is "127.0.1.1 127.0.1.2 127.0.1.3 127.0.1.4" || fail "got $(addresses)"

jq '(.frameworks[] | select(.name == "marathon") | .tasks) |= map(select(.id != "app.3"))' "$work/state.json" >"$work/next" && mv "$work/next" "$work/state.json"
until_true 10 is "127.0.1.1 127.0.1.2 127.0.1.3"
[ "$(ask _app._tcp.marathon.mesos SRV | wc -l)" -eq 3 ] || fail "SRV and A disagree"
[ "$(ask node.cassandra.mesos A | wc -l)" -eq 3 ] || fail "another framework's names changed"

# The master goes away: the answers stay.
kill "${pids[0]}"
sleep 2.5   # longer than a refresh: what is shown is that nothing happens
is "127.0.1.1 127.0.1.2 127.0.1.3" || fail "answers were lost with the master"
