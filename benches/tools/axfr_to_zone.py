#!/usr/bin/env python3
"""Turns the JSON of GET /v1/axfr (stdin) into a zone file (stdout), so that other servers answer the same names."""
import json, re, sys

axfr = json.load(sys.stdin)
records, out, origin = axfr["Records"], sys.stdout, axfr["Domain"] + "."
out.write("$ORIGIN %s\n$TTL %s\n@ SOA %s %s %s 60 600 86400 60\n@ NS %s\n" % (origin, axfr["TTL"], axfr["Mname"], axfr["Rname"], axfr["Serial"], axfr["Mname"]))
plain = lambda name: re.fullmatch(r"[A-Za-z0-9_.-]+", name) and len(name) < 255 and all(0 < len(l) < 64 for l in name.rstrip(".").split("."))
if axfr["Mname"] not in records["As"]: out.write("%s A 127.0.0.1\n" % axfr["Mname"])
for key, rtype in (("As", "A"), ("AAAAs", "AAAA")):
    for name, values in sorted(records.get(key, {}).items()):
        for value in values if plain(name) else ():
            out.write("%s %s %s\n" % (name, rtype, value))
for name, values in sorted(records["SRVs"].items()):
    for value in values if plain(name) else ():
        host, port = value.rsplit(":", 1)
        if plain(host): out.write("%s SRV 0 1 %s %s\n" % (name, port, host))
