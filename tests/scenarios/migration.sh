#!/usr/bin/env bash
# The move from mesos-dns: a configuration as it ships, with its dead keys and mixed case, started with the same command line; then
# what its users did goes on working: dig, the HTTP API, and /v1/config with the keys of old.
. "$(dirname "$0")/lib.sh"
master_port=$(free_port) dns_port=$(free_port) http_port=$(free_port)
write_state "$work/state.json"
serve_state "$work/state.json"
cat >"$work/config.json" <<JSON
{
  "zk": "",
  "masters": ["127.0.0.1:$master_port"],
  "refreshSeconds": 60,
  "mesosCredentials": {"principal": "", "secret": ""},
  "mesosAuthentication": "",
  "stateTimeoutSeconds": 300,
  "ttl": 60,
  "domain": "mesos",
  "port": $dns_port,
  "resolvers": ["169.254.169.254"],
  "timeout": 5,
  "listener": "127.0.0.1",
  "httpon": true,
  "dnson": true,
  "httpport": $http_port,
  "httplistener": "127.0.0.1",
  "externalon": true,
  "SOAMname": "ns1.mesos",
  "SOARname": "root.ns1.mesos",
  "SOARefresh": 60,
  "SOARetry": 600,
  "SOAExpire": 86400,
  "SOAMinttl": 60,
  "IPSources": ["netinfo", "mesos", "host"],
  "EnforceRFC952": false,
  "recurseon": true,
  "email": "root.mesos-dns.mesos",
  "ns": "ns1"
}
JSON
"$rollcall" check "-config=$work/config.json" >"$work/check.log" 2>&1 || { cat "$work/check.log"; fail "check refuses the configuration"; }

"$rollcall" "-config=$work/config.json" -v=1 >"$work/rollcall.log" 2>&1 &
pids+=($!)
until_true 20 answers leader.mesos

[ "$(ask leader.mesos A)" = 127.0.0.1 ] || fail "leader.mesos"
[ "$(ask master.mesos A)" = 127.0.0.1 ] || fail "master.mesos"
[ "$(ask slave.mesos A | wc -l)" -eq 4 ] || fail "slave.mesos"
[ "$(ask app.marathon.mesos A | wc -l)" -eq 4 ] || fail "app.marathon.mesos"
[ "$(ask app.marathon.slave.mesos A | wc -l)" -eq 4 ] || fail "app.marathon.slave.mesos"
[ "$(ask _app._udp.marathon.mesos SRV | wc -l)" -eq 4 ] || fail "_app._udp.marathon.mesos"
[ "$(ask _leader._tcp.mesos SRV)" = "0 1 $master_port leader.mesos." ] || fail "_leader._tcp.mesos: $(ask _leader._tcp.mesos SRV)"

# kdig asks over TCP and reads the answer with another library.
kdig @127.0.0.1 -p "$dns_port" +tcp +short app.marathon.mesos A >"$work/kdig.out"
[ "$(wc -l <"$work/kdig.out")" -eq 4 ] || fail "kdig over TCP"

api="http://127.0.0.1:$http_port/v1"
curl -sf "$api/hosts/app.marathon.mesos" | jq -e 'length == 4 and all(.host == "app.marathon.mesos." and (.ip | startswith("127.0.1.")))' >/dev/null || fail "hosts"
curl -sf "$api/services/_app._tcp.marathon.mesos." | jq -e 'length == 4 and all(.service == "_app._tcp.marathon.mesos." and (.port | type == "string"))' >/dev/null || fail "services"
curl -sf "$api/hosts/no-such-name.mesos" | jq -e '. == [{"host": "", "ip": ""}]' >/dev/null || fail "hosts of a name that does not exist"
curl -sf "$api/enumerate" | jq -e '.frameworks | map(.name) | sort == ["cassandra", "marathon"]' >/dev/null || fail "enumerate"
curl -sf "$api/axfr" | jq -e '.Domain == "mesos" and .Records.As["leader.mesos."] == ["127.0.0.1"]' >/dev/null || fail "axfr"
curl -sf "$api/config" | jq -e '.RefreshSeconds == 60 and .SOAMname == "ns1.mesos." and .IPSources == ["netinfo", "mesos", "host"]' >/dev/null || fail "config"
curl -sf "$api/version" | jq -e 'has("Service") and has("Version") and has("URL")' >/dev/null || fail "version"
"$rollcall" explain app.marathon.mesos --http "127.0.0.1:$http_port" | grep -q 'app\.' || fail "explain"
