#!/usr/bin/env bash
# A load balancer without a scheduler's API: SRV records looped through awk fill an nginx upstream, which the real nginx accepts.
. "$(dirname "$0")/lib.sh"
cluster

{
    echo 'upstream app {'
    dig @127.0.0.1 -p "$dns_port" +short +tcp SRV _app._tcp.marathon.mesos | sort | awk '{print $3, $4}' | while read -r port host; do
        echo "    server $(dig @127.0.0.1 -p "$dns_port" +short "$host" | head -1):$port;"
    done
    echo '}'
} >"$work/upstream.conf"
[ "$(grep -c '^    server 127\.0\.1\.[1-4]:3100[0-3];$' "$work/upstream.conf")" -eq 4 ] || { cat "$work/upstream.conf"; fail "not the four instances"; }

cat >"$work/nginx.conf" <<CONF
pid $work/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    include $work/upstream.conf;
    server { listen 127.0.0.1:$(free_port); location / { proxy_pass http://app; } }
}
CONF
nginx -t -q -p "$work" -c "$work/nginx.conf" || fail "nginx refuses the upstream"
