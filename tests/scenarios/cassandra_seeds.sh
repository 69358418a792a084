#!/usr/bin/env bash
# A Cassandra node finds its seeds: `dig +short` of the task name becomes the seeds line of cassandra.yaml.
. "$(dirname "$0")/lib.sh"
cluster

cat >"$work/cassandra.yaml.in" <<'YAML'
cluster_name: 'Test Cluster'
seed_provider:
    - class_name: org.apache.cassandra.locator.SimpleSeedProvider
      parameters:
          - seeds: "@SEEDS@"
YAML
seeds=$(dig @127.0.0.1 -p "$dns_port" +short node.cassandra.mesos | sort | paste -sd,)
sed "s/@SEEDS@/$seeds/" "$work/cassandra.yaml.in" >"$work/cassandra.yaml"

grep -q '^          - seeds: "127.0.2.1,127.0.2.2,127.0.2.3"$' "$work/cassandra.yaml" || { cat "$work/cassandra.yaml"; fail "not the seeds of the cluster"; }

# A node of its own, by the name that lasts as long as the task.
own=$(curl -sf "http://127.0.0.1:$http_port/v1/services/_node._tcp.cassandra.mesos" | jq -r '.[0].host')
[ "$(ask "$own" A | wc -l)" -eq 1 ] || fail "$own is not one address"
