"""Judges one run of the program against a recording: differences, the rules of DNS, and the list of wanted deviations.

In: the stored recording and the answers got. Out: differences that no line of `deviations.allow` explains. It must never let a
difference pass that nobody wrote down: a line of the list names its decision, and rules (kinds `rule-...`) cannot be allowed.
"""
import json, os, re, socket, sys, urllib.parse
from collections import Counter

FIELDS = ("decision", "case", "kind", "where", "when", "expected", "got")
NEVER_PLAIN = {"AXFR", "IXFR"}                 # asked for, but no type of data: the recording and its deviations judge them
UDP_EDNS_MAX, UDP_PLAIN_MAX, TCP_MAX = 1232, 512, 65535


def wire():
    """The wire helpers of oracle.py, however it was started."""
    main = sys.modules["__main__"]
    if hasattr(main, "name_to_wire"): return main
    import oracle
    return oracle


# ------------------------------------------------------------------------------------------------ the list of deviations

class Line:
    def __init__(self, number, text):
        parts = [p.strip() for p in re.split(r"\s+\|\s+|\s+\|$", text.strip())]
        if not 4 <= len(parts) <= 7: raise SystemExit("deviations.allow:%d: 4 to 7 fields divided by ' | ', not %d" % (number, len(parts)))
        parts += ["*"] * (7 - len(parts))
        self.number, self.text = number, text
        for k, v in zip(FIELDS, parts): setattr(self, k, v)
        if self.kind.startswith(("rule-", "~rule", "*")): raise SystemExit("deviations.allow:%d: a rule cannot be deviated from, and a kind must be named" % number)
        self.tests = [glob(self.case), glob(self.kind), glob(self.where), None, glob(self.expected), glob(self.got)]
        self.tokens = [] if self.when == "*" else self.when.split()

    def matches(self, case, kind, where, when, expected, got):
        values = (case, kind, where, None, expected, got)
        if not all(t is None or t.fullmatch(v) for t, v in zip(self.tests, values)): return False
        return all((t[1:] not in when) if t.startswith("!") else (t in when) for t in self.tokens)


def glob(pattern):
    """`*` is anything, `~` begins a regular expression; every other character stands for itself."""
    if pattern.startswith("~"): return re.compile(pattern[1:], re.S)
    return re.compile(".*".join(re.escape(p) for p in pattern.split("*")), re.S)


def load_allow(path):
    out, numbers, heading = [], decisions(path), False
    for i, line in enumerate(open(path, encoding="utf-8") if path else [], 1):
        line = line.rstrip("\n")
        if line.startswith("#"): heading = True; continue
        if not line.strip(): heading = False; continue
        if not heading: raise SystemExit("deviations.allow:%d: no comment above says why" % i)
        l = Line(i, line)
        for n in l.decision.split(","):
            if numbers is not None and n not in numbers: raise SystemExit("deviations.allow:%d: no decision %s in DECISIONS.md" % (i, n))
        out.append(l)
    return out


def decisions(path):
    """The numbers that DECISIONS.md settles, and the words for what the page does not number."""
    page = os.path.join(os.path.dirname(os.path.abspath(path)), "DECISIONS.md") if path else None
    if page is None or not os.path.exists(page): return None
    out = {"issue"}
    for row in open(page, encoding="utf-8"):
        m = re.match(r"\| ([0-9, ]+) \|", row)
        if m: out |= {x.strip() for x in m.group(1).split(",")}
    return out


class Diff:
    """Collects differences; each is allowed by the first line that matches, or counts as bad."""
    def __init__(self, case, allow): self.case, self.allow, self.all, self.bad, self.used, self.when = case, allow, [], 0, Counter(), frozenset()

    def add(self, kind, where, expected, got):
        e, g = (json.dumps(x, ensure_ascii=False, sort_keys=True) if not isinstance(x, str) else x for x in (expected, got))
        e, g = e[:2000], g[:2000]
        by = next((l for l in self.allow if l.matches(self.case, kind, where, self.when, e, g)), None)
        if by: self.used[by.number] += 1
        else: self.bad += 1
        self.all.append({"case": self.case, "kind": kind, "where": where, "when": sorted(self.when), "expected": e, "got": g, "line": by and by.number})

    @property
    def lines(self):
        cut = lambda s: s if len(s) <= 400 else s[:400] + "..."
        return ["%s %s %s [%s] expected: %s got: %s" % (x["case"], x["kind"], x["where"], " ".join(x["when"]), cut(x["expected"]), cut(x["got"])) for x in self.all if x["line"] is None]


# ------------------------------------------------------------------------------------------------ what the program says it holds

class Zone:
    """The names and data of one run: from the program's own /v1/axfr (which is compared with the recording by itself), else from the recording."""
    def __init__(self, cfg, got, exp):
        get = wire().get_ci
        self.domain = str(get(cfg, "Domain", "mesos")).lower() + "."
        self.ttl, self.minimum = int(get(cfg, "TTL", 60)), int(get(cfg, "SOAMinttl", 60))
        self.weight = int(get(cfg, "SRVRecordDefaultWeight", 1))
        self.recurse, self.set_tc = bool(get(cfg, "RecurseOn", True)), bool(get(cfg, "SetTruncateBit", True))
        self.reverse = bool(get(cfg, "ReverseDnsOn", False))
        self.forwards = bool(get(cfg, "ExternalOn", True))
        dot = lambda s: s.rstrip(".") + "."
        self.mname = dot(get(cfg, "SOAMname", "ns1." + self.domain) or "")
        self.rname = dot((get(cfg, "SOARname", "root.ns1." + self.domain) or "").replace("@", "."))
        self.data, self.complete = {}, False
        axfr = next((h["json"] for h in got["http"] if h["req"] == "GET /v1/axfr" and h.get("status") == 200 and isinstance(h.get("json"), dict)), None)
        if axfr and isinstance(axfr.get("Records"), dict):
            self.complete = True
            self.mname, self.rname = axfr.get("Mname", self.mname), axfr.get("Rname", self.rname)
            for key, t in (("As", "A"), ("AAAAs", "AAAA"), ("SRVs", "SRV"), ("PTRs", "PTR")):
                for n, values in (axfr["Records"].get(key) or {}).items():
                    n = asked_text(n.replace("\\", "\\\\"))
                    if n: self.data.setdefault((n.lower(), t), set()).update(self.value(t, v) for v in values)
        else:
            for s in exp.get("dns", []):
                for m in (s["udp"], s["tcp"]):
                    an = m.get("an", []) if isinstance(m, dict) else []
                    for r in an if isinstance(an, list) else []:
                        n, ttl, c, t, d = r.split(" ", 4)
                        if self.inside(n.lower()): self.data.setdefault((strip_wild(n.lower()), t), set()).add(d)
        fields = [str(get(cfg, k, v)) for k, v in (("SOARefresh", 60), ("SOARetry", 600), ("SOAExpire", 86400))]
        soa = "%s %s SERIAL %s %d" % (self.mname, self.rname, " ".join(fields), self.minimum)
        self.soa = "%s %d IN SOA %s" % (self.domain, self.ttl, soa)
        # RFC 2308, 5: a negative answer lives as long as the smaller of the SOA's TTL and its minimum.
        self.negative_soa = "%s %d IN SOA %s" % (self.domain, min(self.ttl, self.minimum), soa)
        self.ns = "%s %d IN NS %s" % (self.domain, self.ttl, self.mname)
        self.names = {n for n, _ in self.data}
        self.tree = {parent for n in self.names if self.inside(n) for parent in ancestors(n) if self.inside(parent)}

    def value(self, t, text):
        if t in ("A", "AAAA"): return canonical({"A": "As", "AAAA": "AAAAs"}[t], text)
        if t != "SRV": return text
        host, port = text.rsplit(":", 1)
        return "0 %d %s %s" % (self.weight, port, asked_text(host.replace("\\", "\\\\")) or host)

    def inside(self, name): return name == self.domain or name.endswith("." + self.domain)

    def folded(self, record):
        """A record whose owner is the zone: its spelling may be the question's, by compression."""
        owner, rest = record.split(" ", 1)
        return "%s %s" % (owner.lower() if owner.lower() == self.domain else owner, rest)

    def place(self, name):
        if not self.inside(name): return "outside"
        if name == self.domain: return "apex"
        return "exists" if name in self.names else "ent" if name in self.tree else "absent"

    def rrset(self, name, t):
        """Every record that a question for this name and type has, as `TYPE DATA`."""
        own = lambda x: {"%s %s" % (x, d) for d in self.data.get((name, x), ())}
        at_apex = {"SOA": {"SOA " + self.soa.split(" ", 4)[4]}, "NS": {"NS " + self.mname}} if name == self.domain else {}
        if t == "ANY": return set().union(own("A"), own("AAAA"), own("SRV"), *at_apex.values())
        return own(t) | at_apex.get(t, set())

    def glue(self, answers):
        """Owner, type, address of every host that the answers point to and that is ours."""
        hosts = {a.split(" ")[-1] for a in answers if a.startswith("SRV ")} | {a.split(" ")[-1] for a in answers if a.startswith("NS ")}
        return {"%s %s %s" % (h, t, d) for h in hosts for t in ("A", "AAAA") for d in self.data.get((h.lower(), t), ())}


def asked_text(name):
    try: return wire().name_from_wire(wire().name_to_wire(name), 0)[0]
    except (ValueError, IndexError): return None


def labels(text): return re.findall(r"(?:\\[0-9]{3}|\\.|[^.\\])+", text)


def strip_wild(text):
    """The name that is looked up: whole `*` labels behind the first are cut."""
    l = labels(text)
    return "".join(x + "." for i, x in enumerate(l) if i == 0 or x != "*") or "."


def ancestors(name):
    l = labels(name)
    return ["".join(x + "." for x in l[i:]) for i in range(1, len(l))]


# ------------------------------------------------------------------------------------------------ records that differ

RESERVED = re.compile(r"leader|master[0-9]*|slave")


def canonical(t, value):
    """A value of /v1/axfr in one spelling: DNS has one, and names in it have no case."""
    if t == "SRVs": return value.lower()
    try: return socket.inet_ntop(*(lambda f: (f, socket.inet_pton(f, value)))(socket.AF_INET6 if t == "AAAAs" else socket.AF_INET))
    except OSError: return value


def name_tokens(name, domain, soa_name):
    """Why a name cannot be kept: what DECISIONS.md says of its form."""
    out, l = set(), name[:-1].split(".") if name.endswith(".") else name.split(".")
    if any(len(x.encode("utf-8", "surrogatepass")) > 63 for x in l) or len(name.encode("utf-8", "surrogatepass")) > 254: out.add("too-long")
    if "" in l or "_" in l or re.match(r"-[a-z0-9]{5}-", l[0]): out.add("nothing-left")
    if any(re.search(r"[^A-Za-z0-9_-]", x) for x in l): out.add("odd-octets")
    if name != name.lower(): out.add("upper")
    own = name.lower()[:-len(domain) - 1].split(".") if name.lower().endswith("." + domain) else []
    rest = own[next((i for i, x in enumerate(own) if not x.startswith("_")), len(own)):]
    framework = rest[1:] if rest == own else rest
    # Below `slave` stand the agents' names of every framework; the framework itself may not be called so, nor end so.
    if framework and RESERVED.fullmatch(framework[-1]) and (framework[-1] != "slave" or len(framework) == 1 or RESERVED.fullmatch(framework[-2])): out.add("reserved")
    if name.lower() == soa_name.lower() or (len(own) == 1 and RESERVED.fullmatch(own[0])) or own in (["_leader", "_tcp"], ["_leader", "_udp"], ["_slave", "_tcp"]): out.add("built-in")
    if name.lower() == soa_name.lower() or name.lower().endswith("." + soa_name.lower()): out.add("reserved")
    if len(own) == 1 and RESERVED.fullmatch(own[0]): out.add("reserved")
    if rest == own and len(own) > 1 and own[-1] == "slave": out.add("below-slave")
    return out


def record_tokens(name, t, value, zone):
    out = name_tokens(name, zone.domain, zone.mname)
    if t in ("SRVs", "SRV"):
        host, port = value.rsplit(":", 1)
        out |= {"target-" + x for x in name_tokens(host, zone.domain, zone.mname)}
        if not re.fullmatch(r"[0-9]+", port) or not 1 <= int(port) <= 65535: out.add("bad-port")
    return out


class Moved:
    """Records that one list has and the other has not. They are judged once, where /v1/axfr is compared; what follows from them in
    DNS and HTTP is told apart from other differences (kinds `...-as-axfr`)."""
    def __init__(self, zone, exp, got):
        self.known, self.names, self.lost, self.gained, self.shifted = False, set(), Counter(), Counter(), set()
        find = lambda rows: next((h["json"]["Records"] for h in rows if h["req"] == "GET /v1/axfr" and isinstance(h.get("json"), dict) and isinstance(h["json"].get("Records"), dict)), None)
        e, g = find(exp.get("http", [])), find(got["http"])
        if e is None or g is None or any(isinstance(e.get(t), dict) and "#keys" in e[t] for t in ("As", "AAAAs", "SRVs")): return
        self.known = True
        # A long list is kept as a digest, and compared as one.
        self.digests = {(t, n) for t in ("As", "AAAAs", "SRVs") for n, values in (e.get(t) or {}).items() if isinstance(values, dict)}
        rows = lambda records: {(n.lower(), t, canonical(t, v)): (n, t, v) for t in ("As", "AAAAs", "SRVs") for n, values in (records.get(t) or {}).items() if (t, n) not in self.digests for v in values}
        re_, rg = rows(e), rows(g)
        self.lost = {k: re_[k] for k in set(re_) - set(rg)}
        self.gained = {k: rg[k] for k in set(rg) - set(re_)}
        self.got = set(rg)
        self.names = {k[0] for k in list(self.lost) + list(self.gained)}
        # Names that began or ceased to exist with them, empty non-terminals among them.
        tree = lambda rows: {p for n, _, _ in rows for p in [n] + ancestors(n)}
        self.shifted = tree(re_) ^ tree(rg)
        # Names of the recording that were listed in upper case and could not be asked for (quirk 42).
        self.names |= {n for n, _, _ in re_} - {n for n, _, _ in re_.values()}

    def touches(self, name, records=()):
        """Whether a name, or a host that its records point to, has other records than it had."""
        hosts = {r.split(" ")[-1].lower() for r in records if " SRV " in r}
        return name in self.names or name in self.shifted or bool(hosts & self.names)

    def tokens(self, name, t, value, zone):
        """What a line may ask for of a record that moved."""
        out = record_tokens(name, t, value, zone)
        if name == zone.mname: out.add("soa-name")
        if re.match(r"_[^.]+\._(udp|tcp)\.", re.sub(r"^_[^.]+\.(?=_[^.]+\._(udp|tcp)\.)", "", name)) and (re.sub(r"\._(udp|tcp)\.", "._udptcp.", name, count=1).lower(), t, canonical(t, value)) in self.got: out.add("beside-udptcp")
        return out


# ------------------------------------------------------------------------------------------------ rules

def plain(q):
    """An ordinary question, to which the rules apply without exception."""
    if "hex" in q or "more" in q or "tail" in q or "rc" in q or q.get("op", "QUERY") != "QUERY" or q.get("c", "IN") != "IN" or q["t"] in NEVER_PLAIN: return False
    if {"qr", "tc", "z"} & set(q.get("f", "rd").split(",")): return False
    e = q.get("e")
    return e is None or (isinstance(e, dict) and not e.get("ver") and "owner" not in e)


def limit_of(q, proto):
    if proto == "tcp": return TCP_MAX
    e = q.get("e")
    return UDP_PLAIN_MAX if not isinstance(e, dict) else min(max(UDP_PLAIN_MAX, e.get("size", 1232)), UDP_EDNS_MAX)


def cookie_for(e, g):
    """The option of an answer to a client's cookie: that, and ours of version 1, whose time and hash nobody else knows (RFC 9018, 4)."""
    for code, data in e.get("opts", []):
        own = (g.get("edns") or {}).get("opts", "")
        if code == 10 and len(data) == 16: return own if len(own) == 56 and own.startswith("000a0018" + data + "01000000") else "a server cookie"
    return ""


def record_size(zone, owner_in_question, rr):
    """An upper bound of a record's octets: names are spelled out, but for an owner that the question already has."""
    t, d = rr.split(" ", 1)
    last = d.split(" ")[-1] if t in ("SRV", "NS", "PTR") else None
    data = {"A": 4, "AAAA": 16}.get(t) or (6 if t == "SRV" else 0) + (len(wire().name_to_wire(last)) if last else 600)
    return (2 if owner_in_question else 0) + 10 + data


def judge_rules(d, zone, q, where, proto, g):
    """What the RFCs and DECISIONS.md ask of every plain answer, whatever the original did."""
    asked = asked_text(q["n"])
    name, t, p = strip_wild(asked.lower()), q["t"], zone.place(strip_wild(asked.lower()))
    if zone.reverse and name.endswith(".arpa."): return
    if not zone.complete and p in ("absent", "ent"): return
    def must(rule, want, got):
        if want != got: d.add("rule-" + rule, where, want, got)
    if p == "outside" and zone.forwards:
        # A resolver's reply passes as it is, up to what the client takes (RFC 6891, 6.2.5) and we ever send.
        if g["_len"] > limit_of(q, proto): d.add("rule-size", where, "at most %d octets" % limit_of(q, proto), g["_len"])
        return
    raw, flags = g["_raw"], set(g["fl"].split())
    must("rcode", {"absent": "NXDOMAIN", "outside": "REFUSED"}.get(p, "NOERROR"), g["rc"])
    inside = p != "outside"
    sent = set(q.get("f", "rd").split(","))
    want = {"qr"} | ({"aa"} if inside else set()) | ({"ra"} if inside and zone.recurse else set()) | ({"rd", "cd"} & sent)
    must("flags", sorted(want), sorted(flags - {"tc"}))
    e = q.get("e")
    must("edns", {"do": bool(e.get("do")), "opts": cookie_for(e, g), "size": UDP_EDNS_MAX, "ver": 0} if isinstance(e, dict) else None, g["edns"] if "edns" in g else None)
    if g["_len"] > limit_of(q, proto): d.add("rule-size", where, "at most %d octets" % limit_of(q, proto), g["_len"])
    answers = ["%s %s" % (r[3], soa_serial(zone, r)) for r in raw["an"]]
    must("owner", [], sorted({r[0] for r in raw["an"]} - {asked}))
    must("ttl", [], sorted({r[1] for r in raw["an"] + raw["ar"]} - {zone.ttl}))
    must("duplicates", [], [a for a, n in Counter(answers).items() if n > 1])
    must("authority", [zone.negative_soa] if inside and not answers else [], [zone.folded(r) for r in g.get("ns", [])])
    if not zone.complete: return
    full = zone.rrset(name, t) if inside else set()
    must("answer", [], sorted(set(answers) - full)[:6])
    left_out = full - set(answers)
    room = limit_of(q, proto) - g["_len"]
    # Answers come first: an address may only fill what no left-out answer could (at least 12 octets go with its data).
    taken = sum(12 + {"A": 4, "AAAA": 16}.get(r[3], 0) for r in raw["ar"])
    if left_out and min(record_size(zone, True, x) for x in left_out) <= room + taken: d.add("rule-fit", where, "as many answers as fit", "%d of %d answers, %d octets free" % (len(set(answers)), len(full), room))
    must("tc", "1" if left_out and zone.set_tc else "0", "1" if "tc" in flags else "0")
    # With SRV records of which the original left some out the tables differ; the answers tell what is pointed to.
    glue, extra = zone.glue(set(answers)), ["%s %s %s" % (r[0], r[3], r[4]) for r in raw["ar"]]
    fold = lambda x: " ".join([x.split(" ")[0].lower()] + x.split(" ")[1:])
    glue_folded, extra_folded = {fold(x) for x in glue}, Counter(map(fold, extra))
    must("additional", [], sorted(set(extra_folded) - glue_folded)[:6] + [x for x, n in extra_folded.items() if n > 1][:6])
    unsent = glue_folded - set(extra_folded)
    if unsent and not left_out and min(len(wire().name_to_wire(x.split(" ")[0])) + record_size(zone, False, x.split(" ", 1)[1]) for x in unsent) <= room:
        d.add("rule-additional-fit", where, "as many addresses of the targets as fit", {"left out": sorted(unsent)[:4], "octets free": room})


def soa_serial(zone, r):
    """A record's data, with the SOA's serial as the recordings have it."""
    if r[3] != "SOA": return r[4]
    p = r[4].split(" ")
    p[2] = "SERIAL"
    return " ".join(p)


# ------------------------------------------------------------------------------------------------ comparing

def digest(lst): return wire().digest(lst)


def multiset(d, kind, where, e, g):
    ce, cg = Counter(map(str, e)), Counter(map(str, g))
    if ce != cg: d.add(kind, where, {"missing": sorted((ce - cg).elements())[:6]}, {"extra": sorted((cg - ce).elements())[:6]})


def deep(d, kind, where, e, g):
    if isinstance(e, dict) and "#sha256" in e and isinstance(g, list): g = digest(g)
    if isinstance(e, dict) and isinstance(g, dict) and "#keys" in e and "#keys" not in g: g = wire().shrink(g)
    if isinstance(e, dict) and isinstance(g, dict):
        for k in sorted(set(e) | set(g)):
            if k not in g: d.add(kind, where + "." + k, e[k], "(absent)")
            elif k not in e: d.add(kind, where + "." + k, "(absent)", g[k])
            else: deep(d, kind, where + "." + k, e[k], g[k])
    elif isinstance(e, list) and isinstance(g, list):
        if e == g: return
        if all(not isinstance(x, (dict, list)) for x in e + g):
            multiset(d, kind, where, e, g)
            if Counter(map(str, e)) == Counter(map(str, g)): d.add(kind + "-order", where, e[:6], g[:6])
            return
        je, jg = ([json.dumps(x, sort_keys=True) for x in v] for v in (e, g))
        if sorted(je) == sorted(jg): d.add(kind + "-order", where, "(same, other order)", "(same, other order)"); return
        if len(e) != len(g):
            ce, cg = Counter(je), Counter(jg)
            for x in sorted((ce - cg).elements()): d.add(kind + "-missing", where, x, "(absent)")
            for x in sorted((cg - ce).elements()): d.add(kind + "-extra", where, "(absent)", x)
            return
        for i, (x, y) in enumerate(zip(e, g)): deep(d, kind, "%s[%d]" % (where, i), x, y)
    elif e != g or type(e) is not type(g): d.add(kind, where, e, g)


def axfr(d, where, e, g, zone, moved):
    """Record by record, so that a line can say which may differ, and why."""
    if not moved.known: deep(d, "axfr", where, e, g); return
    bare = lambda x: dict(x, Records={k: v for k, v in x["Records"].items() if k not in ("As", "AAAAs", "SRVs")})
    deep(d, "axfr", where, bare(e), bare(g))
    for kind, rows in (("axfr-missing", moved.lost), ("axfr-extra", moved.gained)):
        for n, t, v in sorted(rows.values()):
            d.when = frozenset(moved.tokens(n, t, v, zone))
            d.add(kind, where + ".Records." + t, "%s %s" % (n, v) if kind == "axfr-missing" else "(absent)", "(absent)" if kind == "axfr-missing" else "%s %s" % (n, v))
    for t, n in sorted(moved.digests): deep(d, "axfr", where + ".Records.%s.%s" % (t, n), e["Records"][t][n], g["Records"][t].get(n, []))
    for t in ("As", "AAAAs", "SRVs"):
        count = lambda x: Counter((n.lower(), canonical(t, v)) for n, values in x["Records"][t].items() if (t, n) not in moved.digests for v in values)
        ce, cg = count(e), count(g)
        d.when = frozenset()
        for k in sorted(set(ce) & set(cg)):
            if ce[k] != cg[k]: d.add("axfr-count", where + ".Records." + t, "%d x %s %s" % (ce[k], *k), "%d x" % cg[k])
    d.when = frozenset()


def enumeration(d, where, e, g, zone, moved):
    """One difference a record, so that a wanted one can be named; the order within a task does not count."""
    if not isinstance(e, dict) or not isinstance(g, dict): deep(d, "enumerate", where, e, g); return
    fe, fg = e.get("frameworks"), g.get("frameworks")
    if not isinstance(fe, list) or not isinstance(fg, list) or [f.get("name") for f in fe] != [f.get("name") for f in fg]: deep(d, "enumerate", where, e, g); return
    for i, (x, y) in enumerate(zip(fe, fg)):
        te, tg, w = x.get("tasks"), y.get("tasks"), "%s.frameworks[%d]" % (where, i)
        if isinstance(te, dict) and isinstance(tg, list):
            # A digest of a long list was taken without the records that the maintained fork adds.
            tg = [dict(t, records=[r for r in t.get("records", []) if r.get("rtype") != "PTR"]) for t in tg]
        if not isinstance(te, list) or not isinstance(tg, list) or [(t["name"], t["id"]) for t in te] != [(t.get("name"), t.get("id")) for t in tg]: deep(d, "enumerate", w + ".tasks", te, tg); continue
        for j, (s, t) in enumerate(zip(te, tg)):
            v = "%s.tasks[%d]" % (w, j)
            re_, rg = s.get("records"), t.get("records")
            if isinstance(re_, dict): rg = [r for r in rg or [] if r.get("rtype") != "PTR"]
            if not isinstance(re_, list) or not isinstance(rg, list): deep(d, "enumerate", v + ".records", re_, rg); continue
            line = lambda r: "%s %s %s" % (r.get("name"), r.get("rtype"), r.get("host"))
            fold = lambda r: " ".join([r.get("name").lower(), r.get("rtype"), canonical({"A": "As", "AAAA": "AAAAs"}.get(r.get("rtype"), "SRVs"), r.get("host"))])
            ke, kg = {}, {}
            for keep, rows in ((ke, re_), (kg, rg)):
                for r in rows: keep.setdefault(fold(r), r)
            for kind, mine, other in (("enumerate-missing", ke, kg), ("enumerate-extra", kg, ke)):
                for k in sorted(set(mine) - set(other)):
                    r = mine[k]
                    table = {"A": "As", "AAAA": "AAAAs"}.get(r["rtype"], "SRVs")
                    d.when = frozenset(moved.tokens(r["name"], table, r["host"], zone) if moved.known and r["rtype"] != "PTR" else ())
                    d.add(kind, v, line(r) if kind == "enumerate-missing" else "(absent)", line(r) if kind == "enumerate-extra" else "(absent)")
            d.when = frozenset()
            if sorted(s) != sorted(t): d.add("enumerate", v, sorted(s), sorted(t))


def fold_addresses(rows):
    """Rows of /v1/services with one address each, folded where the recording holds one address picked at random of several."""
    out, counts = [], Counter(json.dumps(x, sort_keys=True) for x in rows)
    for text, n in sorted(counts.items()):
        x = json.loads(text)
        m = re.fullmatch(r"<one of (\d+)>", str(x.get("ip", ""))) if isinstance(x, dict) else None
        out.extend([x] * (1 if m else n))
        if m: out[-1] = dict(x, **{"#seen": n})
    return out


def services(d, where, e, g, suffix):
    if not isinstance(e, list) or not isinstance(g, list): deep(d, "services", where, e, g); return
    if suffix and e != g: d.add("services" + suffix, where, e, g); return
    fe, fg = fold_addresses(e), fold_addresses(g)
    seen = lambda rows: {json.dumps({k: v for k, v in x.items() if k != "#seen"}, sort_keys=True): x["#seen"] for x in rows if "#seen" in x}
    se, sg = seen(fe), seen(fg)
    for k in sorted(set(se) & set(sg)):
        if se[k] != sg[k]: d.add("services-addresses", where, "one address of several", "every address")
    bare = lambda rows: sorted(({k: v for k, v in x.items() if k != "#seen"} for x in rows), key=lambda x: json.dumps(x, sort_keys=True))
    deep(d, "services", where, bare(fe), bare(fg))


def tokens_of(zone, q, g, an_full):
    """What a line of deviations.allow may ask for: where the name stands, and what the answer is like."""
    out = set()
    if isinstance(g, dict) and "rc" in g:
        out |= {g["rc"].lower(), "data" if g.get("an") else "nodata"}
        out.add("whole" if an_full is not None and len(g.get("an", [])) >= an_full else "cut")
    if "hex" in q: return out | {"raw"}
    asked = asked_text(q["n"])
    stripped = strip_wild(asked)
    p = zone.place(stripped.lower())
    out |= {p, "outside" if p == "outside" else "inside"}
    if stripped != asked: out.add("wild")
    if asked != asked.lower(): out.add("case")
    if plain(q): out.add("plain")
    if "e" in q: out.add("edns")
    return out


def compare_msg(d, where, e, g, full, zone, asked, moved):
    """e: stored form, g: normal form, full: the set of all answers (from TCP) to check a cut answer against."""
    g = {k: v for k, v in g.items() if not k.startswith("_")} if isinstance(g, dict) else g
    if isinstance(e, str) or isinstance(g, str) or "bad" in e or "bad" in g:
        if e != g: d.add("no-answer" if "none" in (e, g) else "closed" if "closed" in (e, g) else "malformed", where, e if isinstance(e, str) else e.get("rc", e), g if isinstance(g, str) else g.get("rc", g))
        return
    looked_up = strip_wild(asked.lower()) if asked else None
    an = lambda m: m.get("an", []) if isinstance(m.get("an", []), list) else []
    # Ordinary questions only: for them the rules hold DNS to /v1/axfr, where the records themselves are judged.
    follows = "plain" in d.when and moved.touches(looked_up, an(e) + an(g))
    suffix = "-as-axfr" if follows else ""
    if e["rc"] != g["rc"]: d.add("rcode" + suffix, where, e["rc"], g["rc"])
    fe, fg = set(e["fl"].split()), set(g["fl"].split())
    for f in sorted(fe ^ fg): d.add("flag-" + f + (suffix if f == "tc" else ""), where, "1" if f in fe else "0", "1" if f in fg else "0")
    for k in ("op", "qd", "edns", "oversize", "trailing"):
        if e.get(k) != g.get(k): d.add({"op": "opcode", "qd": "question"}.get(k, k), where, e.get(k), g.get(k))
    compare_answers(d, where, e.get("an", []), g.get("an", []), full, suffix, zone, asked)
    x, y = e.get("ns", []), g.get("ns", [])
    if x != y: d.add("authority" + (suffix if bool(an(e)) != bool(an(g)) else ""), where, [old_form(r) for r in x], [new_form(zone, r, True) for r in y])
    compare_additional(d, where, e.get("ar", []), g.get("ar", []), suffix)


def old_form(r):
    """The original's authority records carry the name asked, as if it were a zone (quirks 3 and 5)."""
    m = re.fullmatch(r"(\S+) \d+ IN (SOA|NS) .*", r)
    return "NAME-" + m.group(2) if m else r


def new_form(zone, r, authority=False):
    """The zone's own records by name; in authority the SOA has the TTL of a negative answer."""
    r = zone.folded(r)
    if r == (zone.negative_soa if authority else zone.soa): return "ZONE-SOA"
    return "ZONE-NS" if r == zone.ns else r


def compare_answers(d, where, x, y, full, suffix, zone, asked):
    if isinstance(x, dict) and "#some" in x:
        lo, hi = x["#some"]
        if lo != hi or hi > 100: lo, hi = lo - 1 - lo // 500, hi + 1 + hi // 500      # it varies with the random order
        if full is not None and not set(y) <= set(full): d.add("answer", where, "(a part of the full answer)", {"extra": sorted(set(y) - set(full))[:6]})
        if not lo <= len(y) <= hi: d.add("cut-count" + suffix, where, x["#some"], len(y))
        return
    if isinstance(x, dict):
        # A digest: taken of owners in lower case, less their wildcards, as the original writes them.
        old = [" ".join([strip_wild(asked.lower())] + r.split(" ")[1:]) for r in y] if asked else y
        if old != y and wire().digest(sorted(old)) == x: d.add("answer-owner", where, [strip_wild(asked.lower())], "(as asked)")
        else: deep(d, "answer", where, x, y)
        return
    owners = sorted({r.split(" ")[0] for r in x} - {asked}) if asked else []
    if owners and y and {r.split(" ")[0] for r in y} == {asked}:
        d.add("answer-owner", where, owners, "(as asked)")
        x = [" ".join([asked] + r.split(" ")[1:]) for r in x]
    if Counter(x) != Counter(y):
        ce, cg = Counter(x), Counter(y)
        d.add("answer" + suffix, where, {"missing": sorted((ce - cg).elements())[:6]}, {"extra": sorted(new_form(zone, r) for r in (cg - ce).elements())[:6]})


def compare_additional(d, where, x, y, suffix):
    """The recording has one address of several, picked at random; ours has every one that fits (rule-additional counts them)."""
    if isinstance(x, dict): deep(d, "additional", where, x, y); return
    one = lambda rows: {r for r in rows if "<one of " in r}
    rest = lambda rows: Counter(r for r in rows if "<one of " not in r)
    if one(x) != one(y) or rest(x) != rest(y):
        d.add("additional" + suffix, where, {"missing": sorted((one(x) - one(y))) + sorted((rest(x) - rest(y)).elements())[:6]}, {"extra": sorted(one(y) - one(x)) + sorted((rest(y) - rest(x)).elements())[:6]})
    if any(Counter(y)[r] > 1 for r in one(y)): d.add("additional-all", where, "one address of several", "every address that fits")


def compare_stored(d, prefix, exp, got, cfg):
    """exp: a stored recording; got: the raw result of asking the same questions."""
    w_ = wire()
    zone = Zone(cfg, got, exp)
    moved = Moved(zone, exp, got)
    gd = {json.dumps(x["q"], sort_keys=True): x for x in got["dns"]}
    for s in exp.get("dns", []):
        g, w, q = gd.get(json.dumps(s["q"], sort_keys=True)), w_.where_of(s["q"]), w_.parse_q(s["q"])
        d.when = frozenset()
        if g is None: d.add("not-asked", prefix + w, "an answer", "(the program had ended)" if "exited" in got else "(not asked)"); continue
        asked = None if "hex" in q else asked_text(q["n"])
        full = g["tcp"].get("an", []) if isinstance(g["tcp"], dict) and "tcp" not in g.get("cut", []) else None
        count = len(zone.rrset(strip_wild(asked.lower()), q["t"])) if asked and zone.complete else len(full) if full is not None else None
        pairs = [("udp", s["udp"], g["udp"]), ("tcp", s["udp"] if s["tcp"] == "=" else s["tcp"], g["tcp"])]
        bare = lambda m: {k: v for k, v in m.items() if not k.startswith("_")} if isinstance(m, dict) else m
        same = s["tcp"] == "=" and bare(g["udp"]) == bare(g["tcp"])
        for proto, e, m in pairs[:1] if same else pairs:
            d.when = frozenset(tokens_of(zone, q, m, count))
            compare_msg(d, prefix + ("both/" if same else proto + "/") + w, e, m, full, zone, asked, moved)
        for proto, e, m in pairs:
            d.when = frozenset(tokens_of(zone, q, m, count))
            if asked and plain(q) and isinstance(m, dict) and "rc" in m: judge_rules(d, zone, q, prefix + proto + "/" + w, proto, m)
    d.when = frozenset()
    compare_http(d, prefix, exp, got, zone, moved)
    go = {json.dumps(x["q"], sort_keys=True): x for x in got["order"]}
    for s in exp.get("order", []):
        g = go.get(json.dumps(s["q"], sort_keys=True))
        as_axfr = "-as-axfr" if moved.touches(w_.parse_q(s["q"])["n"].lower()) and g and set(g["first"]) == rotated(zone, s["q"]) else ""
        if g is None or s["first"] != g["first"]: d.add("rotation" + as_axfr, prefix + w_.where_of(s["q"]), s["first"], g and g["first"])
    for k, v in exp.get("probes", {}).items():
        if got["probes"].get(k) != v: d.add("tcp-connection", prefix + k.replace(" ", "_"), v, got["probes"].get(k))
    if exp.get("exited") != got.get("exited"): d.add("exited", prefix + "process", exp.get("exited", "(running)"), got.get("exited", "(running)"))


def rotated(zone, q):
    """The data that must all come first sooner or later."""
    q = wire().parse_q(q)
    return {x.split(" ", 1)[1] for x in zone.rrset(strip_wild(q["n"].lower()), q["t"])} or {""}


def rows_of(zone, kind, name):
    """What /v1/hosts and /v1/services owe for a name, from /v1/axfr: one row an address, of every target that has one."""
    n = strip_wild((asked_text(name.replace("\\", "\\\\")) or ".").lower())
    hosts = lambda h: [a for t in ("A", "AAAA") for a in zone.data.get((h, t), ())]
    if kind == "hosts": rows = [{"host": n, "ip": a} for a in hosts(n)]
    else: rows = [{"service": name, "host": r.split(" ")[3], "ip": a, "port": r.split(" ")[2]} for r in zone.data.get((n, "SRV"), ()) for a in hosts(r.split(" ")[3].lower())]
    empty = {"host": "", "ip": ""} if kind == "hosts" else {"service": "", "host": "", "ip": "", "port": ""}
    return rows or [empty]


def judge_rows(d, zone, kind, where, path, rows):
    """/v1/hosts and /v1/services say what /v1/axfr says, and so what DNS says."""
    name = urllib.parse.unquote(path.split("/", 3)[3]).strip("/")
    if "\\" in name: return                     # written back with escapes, which a path has not
    fold = lambda rows: sorted({json.dumps({k: v if k == "service" else v.lower() for k, v in r.items()}, sort_keys=True) for r in rows})
    want, have = fold(rows_of(zone, kind, name)), fold(rows)
    if want != have: d.add("rule-" + kind, where, want[:6], have[:6])


def compare_http(d, prefix, exp, got, zone, moved):
    key = lambda x: json.dumps([x["req"], x.get("hdr"), x.get("body")])
    gh = {key(x): x for x in got["http"]}
    for s in exp.get("http", []):
        g = gh.get(key(s))
        w = prefix + s["req"].replace(" ", ":") + ("".join("/%s=%s" % x for x in s.get("hdr", {}).items()).replace(" ", ""))
        if g is None: d.add("not-asked", w, "an answer", "(not asked)"); continue
        p = s["req"].split(" ", 1)[1].split("?")[0]
        kind = next((k for k in ("axfr", "enumerate", "config", "version", "hosts", "services") if p.startswith("/v1/" + k)), "http")
        for k in ("error", "status", "type", "text"):
            if s.get(k) != g.get(k): d.add("http-" + k, w, s.get(k), g.get(k))
        if "json" in s and "json" in g:
            suffix = ""
            if kind in ("hosts", "services") and p.count("/") == 3 and zone.complete and moved.known and isinstance(g["json"], list):
                raw = urllib.parse.unquote(p.split("/", 3)[3]).lower().rstrip("./") + "."
                name = strip_wild(asked_text(raw.replace("\\", "\\\\")) or raw)
                pointed = ["x SRV " + str(r.get("host", "")) for rows in (s["json"], g["json"]) for r in rows if isinstance(r, dict)] if kind == "services" and isinstance(s["json"], list) else []
                suffix = "-as-axfr" if moved.touches(name, pointed) or re.sub(r"\.\*(?=\.)", "", raw) in moved.names else ""
                judge_rows(d, zone, kind, w, p, g.get("_rows", g["json"]))
            if kind == "axfr": axfr(d, w + "#", s["json"], g["json"], zone, moved)
            elif kind == "enumerate": enumeration(d, w + "#", s["json"], g["json"], zone, moved)
            elif kind == "services": services(d, w + "#", s["json"], g["json"], suffix)
            elif suffix and s["json"] != g["json"]: d.add("hosts" + suffix, w, s["json"], g["json"])
            else: deep(d, kind, w + "#", s["json"], g["json"])
        elif ("json" in s) != ("json" in g): d.add("http-body", w, "json" if "json" in s else s.get("text"), "json" if "json" in g else g.get("text"))


def compare_case(d, case, exp, res):
    def one(prefix, e, g, cfg):
        d.when = frozenset()
        if e.get("ready") != g.get("ready"): d.add("ready", prefix + "process", e.get("ready"), g.get("ready"))
        serves = g.get("served", g.get("ready"))
        if e.get("ready") != serves and g.get("ready"): d.add("served", prefix + "process", e.get("ready"), serves)
        if e.get("exit") != g.get("exit"): d.add("exit-code", prefix + "process", e.get("exit", "(running)"), g.get("exit", "(running)"))
        if "master" in e:
            asked = g.get("master", [])
            deep(d, "master-request", prefix + "master", list(dict.fromkeys(r["to"] for r in e["master"])), list(dict.fromkeys(r["to"] for r in asked)))
            deep(d, "master-path", prefix + "master", sorted({r["path"] for r in e["master"]}), sorted({r["path"] for r in asked}))
            he, hg = (e["master"] or [{}])[0].get("headers", {}), (g.get("master") or [{}])[0].get("headers", {})
            deep(d, "master-headers", prefix + "master", he, hg)
        # Without a table every answer differs: that it has none is told above, once.
        for k in sorted(x for x in e if x.startswith("phase") and serves):
            if k in g: compare_stored(d, prefix + (k + "/" if k != "phase0" else ""), e[k], g[k], cfg)
    if "variants" not in exp: one("", exp, res, case.config); return
    options = {v["name"]: v for v in case.opt["variants"]}
    for n, v in exp["variants"].items():
        if n not in res["variants"]: d.add("not-asked", n, "a variant", "(not run)"); continue
        one(n + "/", v, res["variants"][n], wire().variant_config(case, options[n]))
