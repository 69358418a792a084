# Shared by the scenarios: a simulated master, the program on free ports, and an end that leaves nothing.
# Each scenario begins with `. "$(dirname "$0")/lib.sh"`. Not a scenario itself: it is not executable.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rollcall=${ROLLCALL:-$root/target/debug/rollcall}
work=$(mktemp -d) pids=()

end_all() {
    local status=$? p
    [ "$status" -ne 0 ] && tail -n 20 "$work"/*.log >&2 2>/dev/null
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    for p in "${pids[@]}"; do for _ in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done; kill -9 "$p" 2>/dev/null || true; done
    rm -rf "$work"
    exit "$status"
}
trap end_all EXIT
trap 'exit 130' INT TERM

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

free_port() { python3 -c '
import random, socket
while True:
    p = random.randrange(12000, 32000)
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as s: s.bind(("127.0.0.1", p))
        print(p); break
    except OSError: pass'; }

# until SECONDS COMMAND...: repeats it until it succeeds.
until_true() {
    local end=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do [ "$SECONDS" -lt "$end" ] || fail "gave up waiting for: $*"; sleep 0.1; done
}

# serve_state FILE: a master on $master_port that serves FILE, written anew or not.
serve_state() {
    python3 -c '
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open(sys.argv[1], "rb").read()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()' "$1" "$master_port" >"$work/master.log" 2>&1 &
    pids+=($!)
    until_true 10 curl -sf "http://127.0.0.1:$master_port/state"
}

# write_state FILE: two frameworks; cassandra with three nodes that have addresses of their own, and a web app of four instances
# behind Marathon on host ports.
write_state() {
    python3 - "$1" "$master_port" <<'PY'
import json, sys
agents = [{"id": "5fc9-S%d" % i, "hostname": "agent-%d.example.com" % i, "pid": "slave(1)@127.0.1.%d:5051" % (i + 1)} for i in range(4)]
def task(name, n, agent, port, address=None):
    status = {"state": "TASK_RUNNING", "timestamp": 1.0}
    if address: status["container_status"] = {"network_infos": [{"ip_addresses": [{"ip_address": address}]}]}
    return {"id": "%s.%d" % (name, n), "name": name, "slave_id": "5fc9-S%d" % agent, "state": "TASK_RUNNING", "resources": {"ports": "[%d-%d]" % (port, port)}, "statuses": [status]}
marathon = [task("app", n, n, 31000 + n) for n in range(4)]
cassandra = [task("node", n, n, 9042, "127.0.2.%d" % (n + 1)) for n in range(3)]
framework = lambda name, tasks: {"name": name, "hostname": "localhost", "pid": "scheduler-1@127.0.0.1:9000", "tasks": tasks}
json.dump({"leader": "master@127.0.0.1:%s" % sys.argv[2], "slaves": agents, "frameworks": [framework("marathon", marathon), framework("cassandra", cassandra)]}, open(sys.argv[1], "w"))
PY
}

# start_rollcall CONFIG: runs it as an operator would run mesos-dns, and waits until the domain is answered.
start_rollcall() {
    "$rollcall" "-config=$1" >"$work/rollcall.log" 2>&1 &
    pids+=($!)
    until_true 20 answers leader.mesos
}
answers() { [ -n "$(ask "$1" A)" ]; }
# ask NAME [TYPE]: what dig prints, without its remarks.
ask() { dig @127.0.0.1 -p "$dns_port" +short +time=1 +tries=2 "$@" | grep -v '^;' || true; }

# cluster: the usual beginning of a scenario.
cluster() {
    master_port=$(free_port) dns_port=$(free_port) http_port=$(free_port)
    write_state "$work/state.json"
    serve_state "$work/state.json"
    cat >"$work/config.json" <<JSON
{"masters": ["127.0.0.1:$master_port"], "refreshSeconds": 1, "port": $dns_port, "httpport": $http_port, "listener": "127.0.0.1", "httplistener": "127.0.0.1"}
JSON
    start_rollcall "$work/config.json"
}
