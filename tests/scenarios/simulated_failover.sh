#!/usr/bin/env bash
# Simulated masters are elected in a real ZooKeeper: the leader is killed, its node stays until its session has expired, and the other
# one leads the same cluster, whose agents come back to it. One that hangs for longer than its session loses the lead and registers again.
. "$(dirname "$0")/lib.sh"

zk_port=$(free_port)
printf 'tickTime=100\ndataDir=%s/zk\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n' "$work" "$zk_port" >"$work/zoo.cfg"
java -Xmx64m -cp '/usr/share/java/*' org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/zoo.cfg" >"$work/zookeeper.log" 2>&1 &
pids+=($!)
ports=() processes=()
start_master() {
    local n=$1
    "$rollcall" simulate --agents 8 --tasks 150 --seed 9 --steps 25 --listen "127.0.0.1:${ports[n]}" --zk "zk://127.0.0.1:$zk_port/mesos" \
        --zk-session-ms 800 --recovery-ms 300 --return-ms 600 >"$work/master$n.log" 2>&1 &
    processes[n]=$! pids+=($!)
}
for n in 0 1; do ports[n]=$(free_port); start_master $n; done
role() { curl -sf "http://127.0.0.1:${ports[$1]}/simulate/counts" | jq -r .role; }
is() { [ "$(role "$1")" = "$2" ]; }
status() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:${ports[$1]}/state"; }
tasks() { curl -sf "http://127.0.0.1:${ports[$1]}/state" | jq -r '.frameworks[].tasks[].id' | LC_ALL=C sort; }
elected() { is 0 leads && is 1 follows || { is 0 follows && is 1 leads; }; }
until_true 20 elected
leader=0 other=1
if is 1 leads; then leader=1 other=0; fi
[ "$(status $other)" = 307 ] || fail "the follower answers $(status $other)"
before=$(tasks $leader)
[ -n "$before" ] || fail "the first leader shows no tasks"

kill -9 "${processes[leader]}"
# Where the dead leader is still believed in, the follower sends everyone to it.
[ "$(status $other)" = 307 ] || fail "right after the death: $(status $other)"
until_true 10 is $other recovers
[ -z "$(tasks $other)" ] || fail "a leader that has not recovered shows tasks"
until_true 10 is $other leads
same() { [ "$(tasks $other)" = "$before" ]; }
until_true 10 same

# A new process follows; then the leader hangs, and finds another one when it wakes.
start_master $leader
until_true 10 is $leader follows
kill -STOP "${processes[other]}"
until_true 10 is $leader leads
kill -CONT "${processes[other]}"
until_true 10 is $other follows
same_again() { [ "$(tasks $leader)" = "$before" ]; }
until_true 10 same_again
