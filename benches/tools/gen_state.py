#!/usr/bin/env python3
"""Writes a deterministic Mesos state document, and a name that it gives.

usage: gen_state.py OUT_DIR --agents N --tasks N [--seed N] [--per-app N]

OUT_DIR/state.json   the document a Mesos master would serve
OUT_DIR/name         a name with addresses
"""
import argparse, json, random, uuid, os
p = argparse.ArgumentParser()
p.add_argument("out"); p.add_argument("--agents", type=int, default=100)
p.add_argument("--tasks", type=int, default=1000); p.add_argument("--seed", type=int, default=1)
p.add_argument("--per-app", type=int, default=4); p.add_argument("--leader", default="127.0.0.1:5050")
a = p.parse_args()
r = random.Random(a.seed)
os.makedirs(a.out, exist_ok=True)
mid = str(uuid.UUID(int=r.getrandbits(128), version=4))
def ip(base, i): return f"{base}.{(i >> 16) & 255}.{(i >> 8) & 255}.{i & 255}"
slaves = [{"id": f"{mid}-S{i}", "pid": f"slave(1)@{ip(10, i + 1)}:5051", "hostname": f"agent-{i}.example.com",
  "registered_time": 1.7e9 + i, "active": True, "version": "1.11.0", "capabilities": ["MULTI_ROLE", "HIERARCHICAL_ROLE"],
  "resources": {"cpus": 32.0, "mem": 128000.0, "disk": 900000.0, "gpus": 0.0, "ports": "[31000-32000]"},
  "used_resources": {"cpus": 4.0, "mem": 4096.0, "disk": 0.0, "gpus": 0.0, "ports": "[31000-31003]"},
  "attributes": {"rack": f"r{i % 40}"}} for i in range(a.agents)]
def task(i, fw, fid, name, discovery):
    s = r.randrange(a.agents); port = 31000 + r.randrange(1000)
    tid = f"{name.replace('.', '_')}.{uuid.UUID(int=r.getrandbits(128), version=4)}"
    cip = ip(172, (1 << 20) + i)
    def status(state, t):
        return {"state": state, "timestamp": t, "container_status": {"container_id": {"value": str(uuid.UUID(int=r.getrandbits(128), version=4))},
            "network_infos": [{"ip_addresses": [{"ip_address": cip, "protocol": "IPv4"}], "name": "dcos"}]}}
    t = {"id": tid, "name": name, "framework_id": fid, "executor_id": "", "slave_id": slaves[s]["id"], "state": "TASK_RUNNING",
      "resources": {"cpus": 0.5, "mem": 256.0, "disk": 0.0, "gpus": 0.0, "ports": f"[{port}-{port + 1}]"}, "role": "slave_public",
      "statuses": [status("TASK_STARTING", 1.7e9 + i), status("TASK_RUNNING", 1.7e9 + i + 1)],
      "labels": [{"key": "HAPROXY_GROUP", "value": "external"}],
      "container": {"type": "DOCKER", "docker": {"image": "nginx:1.25", "network": "USER", "privileged": False, "force_pull_image": False}}}
    if discovery:
        t["discovery"] = {"visibility": "FRAMEWORK", "name": name, "ports": {"ports": [
            {"number": port, "name": "http", "protocol": "tcp"}, {"number": port + 1, "name": "metrics", "protocol": "tcp"}]}}
    return t
fws = [("marathon", 0.8), ("chronos", 0.1), ("kafka", 0.05), ("cassandra.prod", 0.05)]
frameworks, names, i = [], [], 0
for k, (fname, share) in enumerate(fws):
    fid = f"{mid}-{k:04d}"; n = int(a.tasks * share); tasks = []
    for j in range(n):
        app = j // a.per_app; name = f"app{app}.group{app % 50}" if k == 0 else f"{fname.split('.')[0]}-{app}"
        d = app % 2 == 0
        tasks.append(task(i, fname, fid, name, d)); i += 1
        names.append((name, fname, d))
    frameworks.append({"id": fid, "name": fname, "pid": f"scheduler-{k}@10.200.0.{k + 1}:{9000 + k}", "hostname": f"fw{k}.example.com",
      "active": True, "role": "*", "tasks": tasks, "completed_tasks": [], "unreachable_tasks": []})
state = {"version": "1.11.0", "id": mid, "pid": f"master@{a.leader}", "hostname": "master-0", "leader": f"master@{a.leader}",
  "leader_info": {"id": mid, "hostname": "master-0", "port": 5050, "address": {"hostname": "master-0", "ip": a.leader.rsplit(":", 1)[0], "port": 5050}},
  "cluster": "bench", "activated_slaves": a.agents, "frameworks": frameworks, "completed_frameworks": [], "orphan_tasks": [], "unregistered_frameworks": [],
  "slaves": slaves, "recovered_slaves": []}
json.dump(state, open(f"{a.out}/state.json", "w"), separators=(",", ":"))
n, f, _ = names[0]
with open(f"{a.out}/name", "w") as out: out.write(n.replace(".", "-") + f".{f}.mesos")
