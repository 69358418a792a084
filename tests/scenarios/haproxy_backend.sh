#!/usr/bin/env bash
# The same for haproxy: a backend from SRV records, with the weight that DNS gives (1, for 0 would mean maintenance).
. "$(dirname "$0")/lib.sh"
cluster

{
    cat <<CONF
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind 127.0.0.1:$(free_port)
    default_backend app
backend app
    balance roundrobin
CONF
    dig @127.0.0.1 -p "$dns_port" +short SRV _app._tcp.marathon.mesos | sort | awk '{print $2, $3, $4}' | while read -r weight port host; do
        echo "    server ${host%%.*} $(dig @127.0.0.1 -p "$dns_port" +short "$host" | head -1):$port weight $weight"
    done
} >"$work/haproxy.cfg"
[ "$(grep -cE '^    server app-[a-z0-9]+-s[0-3] 127\.0\.1\.[1-4]:3100[0-3] weight 1$' "$work/haproxy.cfg")" -eq 4 ] || { cat "$work/haproxy.cfg"; fail "not the four instances"; }
haproxy -c -q -f "$work/haproxy.cfg" || fail "haproxy refuses the backend"
