#!/usr/bin/env python3
"""Prints the table of benches/versus. usage: versus_table.py SAMPLES

In: lines `KIND ROUND NAME qps cpu-us lost rss-kib`. Ratios are medians over the rounds of this server's CPU by the other's in the
same round."""
import sys
from collections import defaultdict
from statistics import median

rows = defaultdict(dict)
order = []
for line in open(sys.argv[1]):
    kind, number, name, qps, cpu, lost, rss = line.split()
    rows[kind, name][int(number)] = (float(qps), float(cpu), int(lost), int(rss))
    if (kind, name) not in order: order.append((kind, name))
ratio = lambda kind, a, b: [rows[kind, a][n][1] / rows[kind, b][n][1] for n in rows[kind, a] if n in rows.get((kind, b), {})]
show = lambda values: "%5.2f (%.2f-%.2f)" % (median(values), min(values), max(values)) if values else "-"
print("%-6s %-10s %9s %9s  %-19s %-19s %-19s %6s %8s" % ("kind", "server", "qps", "best", "CPU us per query", "x echo", "x knot", "lost", "RSS MiB"))
for kind, name in order:
    samples = list(rows[kind, name].values())
    qps, cpu = [s[0] for s in samples], [s[1] for s in samples]
    print("%-6s %-10s %9.0f %9.0f  %-19s %-19s %-19s %6d %8.0f" % (kind, name, median(qps), max(qps), show(cpu), show(ratio(kind, name, "echo")), show(ratio(kind, name, "knot")), sum(s[2] for s in samples), samples[-1][3] / 1024))
