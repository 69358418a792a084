#!/usr/bin/env python3
"""Record what a mesos-dns program answers for a given Mesos state, and compare another program with the recording.

  oracle.py record  --binary B --case DIR [--out FILE]
  oracle.py compare --binary B --case DIR [--expected FILE] [--allow FILE]
  oracle.py diff    --expected FILE --got FILE [--allow FILE]

A case is a folder: state.json (what the master serves), config.json (the program's configuration, less the two
ports), NOTE (the rule it shows), expected.json (the recording) and, where needed, case.json (options, see README.md).
Needs Python 3.8 and nothing else. On Linux each case runs in a network and mount namespace of its own where that is
allowed (no traffic leaves it, ports and /etc/hosts are its own); with --no-isolate, or where it is not allowed, it
runs on this machine's loopback and the cases that need more are skipped (exit status 77).
"""
import argparse, ctypes, fcntl, fnmatch, gzip, hashlib, http.client, http.server, json, os, random, re, select, shutil
import signal, socket, struct, subprocess, sys, tempfile, threading, time, urllib.parse
from collections import Counter

from judge import Diff, compare_case, deep, load_allow

FORMAT = 1
SKIP = 77
BIG = 120          # a list longer than this is kept as count + digest
LOCAL4, LOCAL6 = "198.51.100.10", "2001:db8:99::10"   # extra addresses of the namespace's lo
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MB": 7, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "AAAA": 28, "LOC": 29,
         "SRV": 33, "NAPTR": 35, "OPT": 41, "DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "TLSA": 52, "SVCB": 64, "HTTPS": 65,
         "SPF": 99, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252, "MAILB": 253, "ANY": 255, "CAA": 257}
TYPE_NAMES = {v: k for k, v in TYPES.items()}
CLASSES = {"IN": 1, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}
CLASS_NAMES = {v: k for k, v in CLASSES.items()}
OPCODES = {"QUERY": 0, "IQUERY": 1, "STATUS": 2, "NOTIFY": 4, "UPDATE": 5, "DSO": 6}
RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"]
FLAG_BITS = [("qr", 0x8000), ("aa", 0x0400), ("tc", 0x0200), ("rd", 0x0100), ("ra", 0x0080), ("z", 0x0040), ("ad", 0x0020), ("cd", 0x0010)]
DEFAULT_TYPES = ["A", "AAAA", "SRV", "ANY", "SOA", "NS", "PTR", "TXT", "MX"]


# ------------------------------------------------------------------------------------------------ DNS wire format

def type_no(t): return TYPES[t] if t in TYPES else int(t[4:])
def class_no(c): return CLASSES[c] if c in CLASSES else int(c[5:])
def type_name(n): return TYPE_NAMES.get(n, "TYPE%d" % n)
def class_name(n): return CLASS_NAMES.get(n, "CLASS%d" % n)


def name_to_wire(name):
    r"""Presentation form (\. \\ \DDD escapes, other characters as UTF-8) to wire; ValueError when it cannot be sent."""
    labels, cur, i, b = [], bytearray(), 0, name.encode("utf-8", "surrogatepass")
    if b == b".": return b"\0"
    while i < len(b):
        c = b[i]
        if c == 0x5C:
            if b[i + 1:i + 4].isdigit() and len(b[i + 1:i + 4]) == 3: cur.append(int(b[i + 1:i + 4])); i += 4; continue
            cur.append(b[i + 1]); i += 2; continue
        if c == 0x2E: labels.append(bytes(cur)); cur = bytearray()
        else: cur.append(c)
        i += 1
    if cur: labels.append(bytes(cur))
    if any(not l for l in labels): raise ValueError("empty label")
    if any(len(l) > 63 for l in labels): raise ValueError("label over 63")
    w = b"".join(bytes([len(l)]) + l for l in labels) + b"\0"
    if len(w) > 255: raise ValueError("name over 255")
    return w


def label_text(l):
    return "".join("\\" + chr(c) if c in b".\\" else chr(c) if 33 <= c <= 126 else "\\%03d" % c for c in l)


def name_from_wire(msg, off):
    labels, end, hops = [], None, 0
    while True:
        n = msg[off]; off += 1
        if n == 0: break
        if n & 0xC0 == 0xC0:
            if end is None: end = off + 1
            off = (n & 0x3F) << 8 | msg[off]; hops += 1
            if hops > 60: raise ValueError("pointer loop")
            continue
        if n & 0xC0: raise ValueError("bad label type")
        if off + n > len(msg): raise ValueError("label past the end")
        labels.append(msg[off:off + n]); off += n
    return ("".join(label_text(l) + "." for l in labels) or "."), (off if end is None else end)


def rdata_text(t, msg, off, n):
    d = msg[off:off + n]
    if len(d) != n: raise ValueError("rdata past the end")
    if t == 1 and n == 4: return socket.inet_ntop(socket.AF_INET, d)
    if t == 28 and n == 16: return socket.inet_ntop(socket.AF_INET6, d)
    if t in (2, 5, 12): return name_from_wire(msg, off)[0]
    if t == 15: return "%d %s" % (struct.unpack("!H", d[:2])[0], name_from_wire(msg, off + 2)[0])
    if t == 33: return "%d %d %d %s" % (struct.unpack("!HHH", d[:6]) + (name_from_wire(msg, off + 6)[0],))
    if t == 6:
        m, o = name_from_wire(msg, off); r, o = name_from_wire(msg, o)
        return "%s %s %d %d %d %d %d" % ((m, r) + struct.unpack("!IIIII", msg[o:o + 20]))
    if t == 16:
        out, i = [], 0
        while i < n: out.append('"' + label_text(d[i + 1:i + 1 + d[i]]).replace("\\.", ".").replace("\\032", " ") + '"'); i += 1 + d[i]
        return " ".join(out)
    return "\\# %d %s" % (n, d.hex())


def decode(msg):
    """A reply as a dict: rc, fl, op (when not QUERY), qd (list), an/ns/ar (lists of (name, ttl, class, type, rdata)), edns."""
    _id, bits, qd, an, ns, ar = struct.unpack("!HHHHHH", msg[:12])
    r = {"id": _id, "rc": bits & 15, "fl": [n for n, b in FLAG_BITS if bits & b], "op": bits >> 11 & 15, "qd": [], "an": [], "ns": [], "ar": [], "edns": None}
    off = 12
    for _ in range(qd):
        n, off = name_from_wire(msg, off); t, c = struct.unpack("!HH", msg[off:off + 4]); off += 4
        r["qd"].append("%s %s %s" % (n, class_name(c), type_name(t)))
    for sec, cnt in (("an", an), ("ns", ns), ("ar", ar)):
        for _ in range(cnt):
            n, off = name_from_wire(msg, off); t, c, ttl, ln = struct.unpack("!HHIH", msg[off:off + 10]); off += 10
            if t == 41:
                r["edns"] = {"size": c, "ver": ttl >> 16 & 255, "do": bool(ttl & 0x8000), "opts": msg[off:off + ln].hex()}
                r["rc"] |= (ttl >> 24) << 4
            else: r[sec].append((n, ttl, class_name(c), type_name(t), rdata_text(t, msg, off, ln)))
            off += ln
    r["trailing"] = len(msg) - off
    r["rc"] = RCODES[r["rc"]] if r["rc"] < len(RCODES) else "RCODE%d" % r["rc"]
    return r


def opt_rr(e):
    opts = b"".join(struct.pack("!HH", c, len(h) // 2) + bytes.fromhex(h) for c, h in e.get("opts", []))
    return (name_to_wire(e["owner"]) if "owner" in e else b"\0") + struct.pack("!HHIH", 41, e.get("size", 1232), e.get("ver", 0) << 16 | (0x8000 if e.get("do") else 0), len(opts)) + opts


def parse_q(q):
    """A query as kept in a recording: "NAME TYPE" or a dict."""
    if isinstance(q, str):
        n, t = q.rsplit(" ", 1)
        return {"n": n, "t": t}
    return q


def build(q, qid):
    q = parse_q(q)
    if "hex" in q: return struct.pack("!H", qid) + bytes.fromhex(q["hex"])[2:]
    flags = q.get("f", "rd").split(",") if q.get("f", "rd") else []
    bits = sum(b for n, b in FLAG_BITS if n in flags) | OPCODES.get(q.get("op", "QUERY"), 0) << 11 if not str(q.get("op", "")).isdigit() else int(q["op"]) << 11
    qs = [[q["n"], q["t"], q.get("c", "IN")]] + q.get("more", [])
    body = b"".join(name_to_wire(n) + struct.pack("!HH", type_no(t), class_no(c)) for n, t, c in qs)
    e = q.get("e")
    es = [] if e is None else e if isinstance(e, list) else [e]
    return struct.pack("!HHHHHH", qid, bits | q.get("rc", 0), len(qs), 0, 0, len(es)) + body + b"".join(opt_rr(x) for x in es) + bytes.fromhex(q.get("tail", ""))


def where_of(q):
    q = parse_q(q)
    if "hex" in q: return "raw:" + q["w"]
    s = "%s/%s/%s" % (q["n"], q.get("c", "IN"), q["t"])
    if "op" in q: s += "/op=" + str(q["op"])
    if "f" in q: s += "/flags=" + q["f"].replace(",", "+")
    if "e" in q:
        for e in (q["e"] if isinstance(q["e"], list) else [q["e"]]):
            s += "/edns=%d" % e.get("size", 1232) + (",v%d" % e["ver"] if e.get("ver") else "") + (",do" if e.get("do") else "") + "".join(",opt%d" % o[0] for o in e.get("opts", []))
    if "more" in q: s += "/questions=%d" % (1 + len(q["more"]))
    if "tail" in q: s += "/trailing"
    if "w" in q: s += "/" + q["w"]
    return s.replace(" ", "_")


# ------------------------------------------------------------------------------------------------ isolation

class Isolation:
    """A network + mount namespace for this process: only lo, /etc/hosts and /etc/resolv.conf of the case."""
    active = False

    @classmethod
    def enter(cls, hosts, tmp):
        try: libc = ctypes.CDLL(None, use_errno=True)
        except OSError: return False
        if not hasattr(libc, "unshare"): return False
        NEWNS, NEWUSER, NEWNET = 0x20000, 0x10000000, 0x40000000
        uid, gid = os.getuid(), os.getgid()
        if uid or libc.unshare(NEWNS | NEWNET):
            if libc.unshare(NEWNS | NEWNET | NEWUSER): return False
            try:
                open("/proc/self/setgroups", "w").write("deny")
                open("/proc/self/uid_map", "w").write("0 %d 1" % uid); open("/proc/self/gid_map", "w").write("0 %d 1" % gid)
            except OSError: pass
        libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        def ifreq(name, data): return struct.pack("16s", name.encode()) + data.ljust(24, b"\0")
        fl = struct.unpack("H", fcntl.ioctl(s, 0x8913, ifreq("lo", b""))[16:18])[0]
        fcntl.ioctl(s, 0x8914, ifreq("lo", struct.pack("H", fl | 1)))
        sin = lambda a: struct.pack("=HH", socket.AF_INET, 0) + socket.inet_aton(a)
        fcntl.ioctl(s, 0x8916, ifreq("lo:1", sin(LOCAL4))); fcntl.ioctl(s, 0x891C, ifreq("lo:1", sin("255.255.255.255")))
        cls.ipv6 = True
        try:
            s6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            fcntl.ioctl(s6, 0x8916, socket.inet_pton(socket.AF_INET6, LOCAL6) + struct.pack("=Ii", 128, socket.if_nametoindex("lo")))
        except OSError: cls.ipv6 = False
        lines = ["127.0.0.1 localhost", "::1 localhost"] + ["%s %s" % (ip, h) for h, ips in hosts.items() for ip in ips]
        for name, text in (("hosts", "\n".join(lines) + "\n"), ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")):
            p = os.path.join(tmp, "etc-" + name)
            open(p, "w").write(text)
            if os.path.exists("/etc/" + name): libc.mount(p.encode(), ("/etc/" + name).encode(), None, 4096, None)
        cls.active = True
        return True


# ------------------------------------------------------------------------------------------------ the servers around the program

class Master:
    """The fake Mesos masters of a case: each address serves a body for /master/state and /state."""
    def __init__(self, spec, case_dir, default_state):
        self.log, self.done, self.lock, self.servers = [], 0, threading.Lock(), []
        self.case_dir, self.state, self.spec = case_dir, default_state, spec
        for addr, opt in spec.items():
            host, port = addr.rsplit(":", 1)
            host = host.strip("[]")
            self.servers.append(self.serve(addr, host, int(port), opt))

    def body(self, opt):
        if "state" in opt: return open(os.path.join(self.case_dir, opt["state"]), "rb").read()
        return self.state

    def serve(self, addr, host, port, opt):
        outer = self

        class H(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self):
                with outer.lock:
                    h = {k: v for k, v in self.headers.items() if k.lower() in ("user-agent", "content-type", "accept", "authorization", "accept-encoding", "connection")}
                    outer.log.append({"to": addr, "path": self.path, "headers": {k.lower(): v for k, v in sorted(h.items())}})
                o = opt
                if "redirect" in o and self.path.split("?")[0] in o.get("redirect_from", ["/master/state", "/state"]):
                    self.send_response(307); self.send_header("Location", o["redirect"] + self.path)
                    self.send_header("Content-Length", "0"); self.end_headers(); return
                ok = self.path.split("?")[0] in ("/master/state", "/state", "/master/state.json", "/state.json")
                body, status = (outer.body(o), o.get("status", 200)) if ok else (b"not found", 404)
                if o.get("delay"): time.sleep(o["delay"])
                self.send_response(status)
                self.send_header("Content-Type", o.get("type", "application/json"))
                if o.get("gzip") and "gzip" in self.headers.get("Accept-Encoding", ""): body = gzip.compress(body); self.send_header("Content-Encoding", "gzip")
                if o.get("chunked"):
                    self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
                    for i in range(0, len(body), 1000):
                        c = body[i:i + 1000]; self.wfile.write(b"%x\r\n%s\r\n" % (len(c), c))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(body) + o.get("short_by", 0))); self.end_headers(); self.wfile.write(body)
                if o.get("short_by"): self.close_connection = True
                self.wfile.flush()
                with outer.lock: outer.done += 1

            def log_message(self, *a): pass

        class S(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads, allow_reuse_address = True, True
            def handle_error(self, *a): pass

        for attempt in range(120):
            try: srv = S((host, port), H); break
            except OSError as e:
                if Isolation.active or attempt == 119: raise SystemExit("cannot listen on %s: %s" % (addr, e))
                time.sleep(0.5)
        threading.Thread(target=srv.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return srv

    def close(self):
        for s in self.servers: s.shutdown(); s.server_close()


class Upstream:
    """A small recursive-looking DNS server, to be forwarded to. The names it knows are in the table below."""
    def __init__(self, tag, host, port, only_nx=False):
        self.tag, self.only_nx, self.stop = tag, only_nx, False
        self.u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); self.u.bind((host, port))
        self.t = socket.socket(socket.AF_INET, socket.SOCK_STREAM); self.t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); self.t.bind((host, port)); self.t.listen(64)
        for f in (self.udp, self.tcp): threading.Thread(target=f, daemon=True).start()

    def udp(self):
        while True:
            try: d, a = self.u.recvfrom(65535)
            except OSError: return
            try:
                for r in self.answer(d, "udp"): self.u.sendto(r, a)
            except Exception: pass

    def tcp(self):
        while True:
            try: c, _ = self.t.accept()
            except OSError: return
            threading.Thread(target=self.tcp_one, args=(c,), daemon=True).start()

    def tcp_one(self, c):
        try:
            c.settimeout(20)
            f = c.makefile("rb")
            while True:
                l = f.read(2)
                if len(l) < 2: break
                for r in self.answer(f.read(struct.unpack("!H", l)[0]), "tcp"): c.sendall(struct.pack("!H", len(r)) + r)
        except Exception: pass
        finally: c.close()

    def answer(self, msg, proto):
        req = decode(msg)
        if not req["qd"] or "qr" in req["fl"]: return []
        wire_q = msg[12:12 + len(name_to_wire(req["qd"][0].split(" ")[0])) + 4]
        qname, _, qtype = req["qd"][0].rsplit(" ", 2)
        k = qname.lower()
        flags, rc, an, ns, ar, question = {"qr", "ra"} | ({"rd"} if "rd" in req["fl"] else set()), 0, [], [], [], wire_q
        if "cd" in req["fl"]: flags.add("cd")
        limit = 65535 if proto == "tcp" else max(512, req["edns"]["size"]) if req["edns"] else 512
        opt = opt_rr({"size": 4096}) if req["edns"] else b""
        def rr(n, t, ttl, data, c=1): return name_to_wire(n) + struct.pack("!HHIH", type_no(t), c, ttl, len(data)) + data
        def txt(*s): return b"".join(bytes([len(x)]) + x.encode() for x in s)
        soa = rr("example.", "SOA", 900, name_to_wire("ns-" + self.tag + ".example.") + name_to_wire("admin.example.") + struct.pack("!IIIII", 7, 3600, 600, 86400, 300))
        ip = socket.inet_aton
        if self.only_nx: rc, ns = 3, []
        elif k == "a.example.":
            if qtype in ("A", "ANY"): an.append(rr(qname, "A", 300, ip("192.0.2.10")))
            if qtype in ("AAAA", "ANY"): an.append(rr(qname, "AAAA", 300, socket.inet_pton(socket.AF_INET6, "2001:db8::10")))
            if not an: ns.append(soa)
        elif k == "cname.example.":
            an.append(rr(qname, "CNAME", 60, name_to_wire("a.example.")))
            if qtype == "A": an.append(rr("a.example.", "A", 300, ip("192.0.2.10")))
        elif k.startswith("whoami."): an.append(rr(qname, "TXT", 0, txt(self.tag, proto)))
        elif k == "echo.example.":
            e = req["edns"]
            an.append(rr(qname, "TXT", 0, txt("flags " + " ".join(req["fl"]), "op %d" % req["op"], "edns " + ("none" if not e else "%d v%d do=%d opts=%s" % (e["size"], e["ver"], e["do"], e["opts"])), "qname " + qname, "questions %d" % len(req["qd"]))))
        elif k == "big.example.": an = [rr(qname, "A", 300, ip("192.0.2.%d" % i)) for i in range(1, 61)]
        elif k == "nx.example.": rc, ns = 3, [soa]
        elif k == "servfail.example.": rc = 2
        elif k == "refused.example.": rc = 5
        elif k == "badvers.example.": rc, opt = 0, b"\0" + struct.pack("!HHIH", 41, 1232, 1 << 24, 0)
        elif k == "empty.example.": pass
        elif k == "aa.example.": flags = (flags | {"aa", "ad"}) - {"ra"}; an.append(rr(qname, "A", 1, ip("192.0.2.11")))
        elif k == "noquestion.example.": question = b""; an.append(rr(qname, "A", 5, ip("192.0.2.12")))
        elif k == "edns.example.": opt = opt_rr({"size": 1232, "opts": [[10, "0011223344556677"]]}); an = [rr(qname, "A", 300, ip("192.0.2.%d" % i)) for i in range(1, 41)]; limit = 65535
        elif k == "over.example.": an = [rr(qname, "A", 300, ip("192.0.2.%d" % i)) for i in range(1, 41)]; limit = 65535
        elif k == "wrongq.example.": question = name_to_wire("other.example.") + wire_q[-4:]; an.append(rr("other.example.", "A", 5, ip("192.0.2.66")))
        elif k == "badid.example.": msg = bytes([msg[0] ^ 0x55, msg[1] ^ 0xAA]) + msg[2:]; an.append(rr(qname, "A", 5, ip("192.0.2.13")))
        elif k == "drop.example.": return []
        elif k == "garbage.example.": return [msg[:2] + b"\x80\x00\x00\x01\x00\x05\x00\x00\x00\x00\xc0"]
        elif k == "unknown-type.example.": an.append(rr(qname, "TYPE65280", 5, b"\x01\x02\x03"))
        elif k.endswith(".arpa."): an.append(rr(qname, "PTR", 5, name_to_wire("host-" + self.tag + ".example.")))
        elif k.endswith(".example.") or k.endswith(".weave.") or k.endswith(".corp."): an.append(rr(qname, "A", 30, ip("192.0.2.99")) if qtype == "A" else rr(qname, "TXT", 30, txt("zone", self.tag)))
        else: rc, ns = 3, [soa]
        bits = sum(b for n, b in FLAG_BITS if n in flags) | rc | req["op"] << 11
        def pack(a, tc): return msg[:2] + struct.pack("!HHHHH", bits | (0x200 if tc else 0), 1 if question else 0, len(a), len(ns), len(ar) + bool(opt)) + question + b"".join(a) + b"".join(ns) + b"".join(ar) + opt
        out = pack(an, False)
        if len(out) > limit:
            while len(out) > limit: an = an[:-1]; out = pack(an, True)
        return [out]

    def close(self):
        for s in (self.u, self.t):
            try: s.shutdown(socket.SHUT_RDWR)
            except OSError: pass
            s.close()


# ------------------------------------------------------------------------------------------------ the program under test

def set_ci(cfg, **kv):
    """Set keys of a configuration whose keys are matched without regard to case."""
    low = {k.lower() for k in kv}
    out = {k: v for k, v in cfg.items() if k.lower() not in low}
    out.update(kv)
    return out


def get_ci(cfg, key, default=None):
    r = default
    for k, v in cfg.items():
        if k.lower() == key.lower() and v is not None: r = v
    return r


def free_port():
    if Isolation.active: return 15353 + random.randrange(2000)
    for _ in range(200):
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); p = u.getsockname()[1]
        t = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try: t.bind(("127.0.0.1", p)); return p
        except OSError: continue
        finally: u.close(); t.close()
    raise SystemExit("no free port")


class Program:
    def __init__(self, binary, config, tmp, env=None, raw_config=None):
        self.tmp = tmp
        self.dns_port, self.http_port = free_port(), free_port()
        while self.http_port == self.dns_port: self.http_port = free_port()
        cfg = set_ci(config, Port=self.dns_port, HttpPort=self.http_port)
        for k in ("Listener", "HTTPListener"):
            if get_ci(cfg, k) is None: cfg[k] = "127.0.0.1"
        self.cfg = cfg
        self.addr = self.reach(get_ci(cfg, "Listener")); self.http_addr = self.reach(get_ci(cfg, "HTTPListener"))
        self.dns_on, self.http_on = bool(get_ci(cfg, "DnsOn", True)), bool(get_ci(cfg, "HttpOn", True))
        self.enum_on = bool(get_ci(cfg, "EnumerationOn", True))
        self.path = os.path.join(tmp, "run-config.json")
        text = raw_config if raw_config is not None else json.dumps(cfg)
        open(self.path, "w").write(text)
        self.logf = open(os.path.join(tmp, "program.log"), "ab")
        self.t0 = int(time.time()) - 2
        e = {"PATH": os.environ.get("PATH", os.defpath), "HOME": tmp, "LANG": "C.UTF-8"}
        e.update({k: v for k, v in os.environ.items() if k.startswith(("LD_", "RUST_", "ASAN_", "LLVM_PROFILE"))})
        # The recordings are of a server that remembers nothing.
        e["ROLLCALL_CACHE_BYTES"] = "0"
        e.update(env or {})
        self.p = subprocess.Popen([binary, "-config=" + self.path], cwd=tmp, stdout=self.logf, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=e, preexec_fn=die_with_parent)

    @staticmethod
    def reach(a): return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(a, a) if isinstance(a, str) else "127.0.0.1"

    def exit_code(self): return self.p.poll()

    def tcp_open(self, addr, port):
        try:
            with socket.create_connection((addr, port), 1): return True
        except OSError: return False

    def wait(self, master, limit, settle, expect_ready=True):
        """True when it listens; `self.served` says whether it has names to answer with. False when it does not listen, or exited."""
        start, asked_at, listens_at = time.time(), None, None
        self.served, listens = False, False
        while time.time() - start < limit:
            if self.exit_code() is not None: return False
            listens = (self.dns_on or self.http_on) and (not self.http_on or self.tcp_open(self.http_addr, self.http_port)) and (not self.dns_on or self.dns_answers())
            self.served = listens and (self.dns_serves() if self.dns_on else self.http_serves())
            if self.served and (master.done > 0 or not expect_ready):
                if self.http_on and self.enum_on and not self.http_serves() and time.time() - start < min(limit, 5): time.sleep(0.05); continue
                if not (self.http_on and self.enum_on): time.sleep(0.3)     # time to take in the state, where that cannot be seen
                return True
            if master.done: asked_at = asked_at or time.time()
            if listens: listens_at = listens_at or time.time()
            if not expect_ready:
                if asked_at and time.time() - asked_at > settle: break
                if listens_at and time.time() - listens_at > settle + 2: break
            time.sleep(0.02)
        return bool(listens)

    def ask_soa(self):
        c = Client(self.addr, self.dns_port, patience=1.0)
        try: return c.ask(str(get_ci(self.cfg, "Domain", "mesos")).lower() + ". SOA", "udp", 0.5) if c.sane() else None
        except (OSError, ValueError): return None
        finally: c.close()

    def dns_answers(self): return self.tcp_open(self.addr, self.dns_port) and self.ask_soa() is not None

    def dns_serves(self):
        r = self.ask_soa()
        return isinstance(r, bytes) and len(r) > 3 and r[3] & 15 != 2

    def http_serves(self):
        try:
            st, _, b = fetch(self.http_addr, self.http_port, "GET /v1/axfr")
            return st == 200 and bool(json.loads(b)["Records"]["As"])
        except Exception: return False

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            try: self.p.wait(3)
            except subprocess.TimeoutExpired: self.p.kill(); self.p.wait()
        self.logf.close()


def die_with_parent():
    try: ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except Exception: pass


class Client:
    """Sends queries over UDP (one socket) and TCP (one connection, renewed); tells an unanswered query from a slow program."""
    def __init__(self, addr, port, patience=0.45):
        self.addr, self.port, self.patience = addr, port, patience
        self.fam = socket.AF_INET6 if ":" in addr else socket.AF_INET
        self.u = socket.socket(self.fam, socket.SOCK_DGRAM); self.u.connect((addr, port))
        self.u.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.t, self.tn, self.buf, self.rng = None, 0, b"", random.Random()

    def close(self):
        self.u.close()
        if self.t: self.t.close(); self.t = None

    def qid(self): return self.rng.randrange(1, 65535)

    def sane(self, limit=5.0):
        """Whether it answers a plain query over UDP and over TCP."""
        try:
            i = self.qid(); self.u.send(build("mesos. SOA", i))
            if self.recv_udp({i}, 0.5) is None: return False
            return self.ask("mesos. SOA", "tcp") not in ("none", "closed")
        except OSError: return False

    def recv_udp(self, ids, limit):
        end = time.time() + limit
        while True:
            left = end - time.time()
            if left <= 0 or not select.select([self.u], [], [], left)[0]: return None
            try: d = self.u.recv(65535)
            except OSError: time.sleep(0.02); continue
            if len(d) >= 2 and struct.unpack("!H", d[:2])[0] in ids: return d

    def ask(self, q, proto, patience=None):
        patience = patience or self.patience
        for attempt in range(2):
            r = (self.udp if proto == "udp" else self.tcp)(q, patience)
            if r is not None: return r
        return "none"                                            # two tries without anything conclusive

    def udp(self, q, patience):
        i = self.qid(); ids = {i, 0} if parse_q(q).get("short") else {i}
        try: self.u.send(build(q, i))
        except OSError: self.u.send(build(q, i))
        d = self.recv_udp(ids, patience)
        if d is not None: return d
        for _ in range(20):                                      # is the program merely slow?
            j = self.qid()
            try: self.u.send(build("sanity.check.mesos. SOA", j))
            except OSError: return None
            d = self.recv_udp({i, j}, 1.0)
            if d is None: continue
            if d[:2] == struct.pack("!H", i): return d
            return self.recv_udp(ids, 0.25) or "none"
        return None

    def connect(self):
        if self.t: self.t.close()
        self.t = socket.create_connection((self.addr, self.port), 5); self.t.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tn, self.buf = 0, b""

    def recv_tcp(self, limit):
        end = time.time() + limit
        while True:
            if len(self.buf) >= 2:
                n = struct.unpack("!H", self.buf[:2])[0]
                if len(self.buf) >= 2 + n: d = self.buf[2:2 + n]; self.buf = self.buf[2 + n:]; return d
            left = end - time.time()
            if left <= 0 or not select.select([self.t], [], [], left)[0]: return None
            try: d = self.t.recv(65536)
            except OSError: return b""
            if not d: return b""
            self.buf += d

    def send_tcp(self, m): self.t.sendall(struct.pack("!H", len(m)) + m)

    def tcp(self, q, patience):
        if self.t is None or self.tn >= 40: self.connect()
        self.tn += 1
        i = self.qid(); short = parse_q(q).get("short")
        try:
            self.send_tcp(build(q, i)); d = self.recv_tcp(patience)
            if d == b"": self.t.close(); self.t = None; return None if self.tn > 1 else "closed"
            if d is not None: return d
            j = self.qid(); self.send_tcp(build("sanity.check.mesos. SOA", j))
            d = self.recv_tcp(20)
            if d in (None, b""): self.t.close(); self.t = None; return "closed" if d == b"" else None
            if struct.unpack("!H", d[:2])[0] == i or short: self.recv_tcp(5); return d
            return self.recv_tcp(0.25) or "none"
        except OSError:
            if self.t: self.t.close()
            self.t = None
            return None


def fetch(addr, port, req, headers=None, body=None):
    method, path = req.split(" ", 1)
    c = http.client.HTTPConnection(addr, port, timeout=20)
    try:
        c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        c.putheader("Host", "localhost")
        for k, v in (headers or {}).items(): c.putheader(k, v)
        if body is not None: c.putheader("Content-Length", str(len(body)))
        c.endheaders(body.encode() if body is not None else None)
        r = c.getresponse()
        return r.status, r.getheader("Content-Type"), r.read()
    finally: c.close()


# ------------------------------------------------------------------------------------------------ normal form

class Normal:
    def __init__(self, prog, client):
        self.prog, self.client, self.counts, self.axfr = prog, client, {}, None

    def serial(self, v): return "SERIAL" if isinstance(v, int) and self.prog.t0 <= v <= time.time() + 5 else v

    def addr_count(self, host, t):
        """How many addresses the program itself holds for a name: the reference picks one of them at random in places."""
        k = (host, t)
        if k not in self.counts:
            n = 0
            if self.axfr is None:
                try: self.axfr = json.loads(fetch(self.prog.http_addr, self.prog.http_port, "GET /v1/axfr")[2])["Records"] if self.prog.http_on and self.prog.enum_on else {}
                except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException): self.axfr = {}
            if self.axfr: n = len((self.axfr.get(t + "s") or {}).get(host, []))
            elif self.client:
                try:
                    r = self.client.ask("%s %s" % (host.replace("\\", "\\\\"), t), "tcp")
                    if isinstance(r, bytes): n = len(decode(r)["an"])
                except (ValueError, OSError): pass
            self.counts[k] = n
        return self.counts[k]

    def rr(self, sec, n, ttl, c, t, d):
        if t == "SOA":
            p = d.split(" ")
            p[2] = str(self.serial(int(p[2]))); d = " ".join(p)
        elif sec == "ar" and t in ("A", "AAAA") and self.addr_count(n, t) > 1: d = "<one of %d>" % self.addr_count(n, t)
        return "%s %s %s %s %s" % (n, ttl, c, t, d)

    def msg(self, q, wire, proto):
        if isinstance(wire, str): return wire
        q = parse_q(q)
        try: r = decode(wire)
        except (IndexError, ValueError, struct.error) as e: return {"bad": str(e), "hex": wire[:64].hex()}
        out = {"rc": r["rc"], "fl": " ".join(r["fl"])}
        if r["op"]: out["op"] = r["op"]
        if parse_q(q).get("short") or "hex" in q: sent = None
        else: sent = ["%s %s %s" % (name_from_wire(name_to_wire(q["n"]), 0)[0], q.get("c", "IN"), q["t"])]
        if r["qd"] != sent: out["qd"] = r["qd"]
        for sec in ("an", "ns", "ar"):
            if r[sec]: out[sec] = sorted(self.rr(sec, *x) for x in r[sec])
        if r["edns"]: out["edns"] = r["edns"]
        if r["trailing"]: out["trailing"] = r["trailing"]
        e = q.get("e") if not isinstance(q.get("e"), list) else q["e"][0]
        if proto == "udp" and len(wire) > max(512, e.get("size", 1232) if e else 512): out["oversize"] = True
        out["_len"], out["_raw"] = len(wire), {k: r[k] for k in ("an", "ns", "ar")}
        out["_first"] = self.rr("an", *r["an"][0]).split(" ", 4)[4] if r["an"] else None
        return out

    def http(self, req, status, ctype, body):
        out = {"status": status, "type": ctype}
        path = "/" + urllib.parse.unquote(req.split(" ", 1)[1].split("?")[0]).strip("/")
        try: j = json.loads(body)
        except ValueError:
            out["text"] = body.decode("utf-8", "replace")[:300]
            if status >= 500: out["text"] = out["text"].split("\r\n")[0].split("\n")[0]
            return out
        if path == "/v1/axfr" and isinstance(j, dict):
            if "Serial" in j: j["Serial"] = self.serial(j["Serial"])
            for k, recs in (j.get("Records") or {}).items():
                for n in (recs or {}): recs[n] = sorted(recs[n])
        elif path == "/v1/config" and isinstance(j, dict):
            for k, want, tok in (("Port", self.prog.dns_port, "PORT"), ("HttpPort", self.prog.http_port, "HTTPPORT"), ("File", os.path.abspath(self.prog.path), "FILE")):
                if j.get(k) == want: j[k] = tok
            if "SOASerial" in j: j["SOASerial"] = self.serial(j["SOASerial"])
        elif path == "/v1/version" and isinstance(j, dict): j = {"keys": sorted(j)}
        elif path.startswith(("/v1/hosts/", "/v1/services/")) and isinstance(j, list):
            out["_rows"] = json.loads(body)
            for x in j:
                if path.startswith("/v1/services/") and x.get("ip"):
                    t = "AAAA" if ":" in x["ip"] else "A"
                    if self.addr_count(x.get("host", "."), t) > 1: x["ip"] = "<one of %d>" % self.addr_count(x["host"], t)
            j.sort(key=lambda x: json.dumps(x, sort_keys=True))
        out["json"] = j
        return out


def digest(lst):
    lines = [x if isinstance(x, str) else json.dumps(x, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for x in lst]
    return {"#count": len(lst), "#sha256": hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest(), "#head": lst[:2] if all(len(x) < 400 for x in lines[:2]) else []}


def shrink(v):
    if isinstance(v, list):
        if len(v) > BIG: return digest(v)
        return [shrink(x) for x in v]
    if isinstance(v, dict):
        if len(v) > 4 * BIG and not any(str(k).startswith("#") for k in v):
            return {"#keys": digest(sorted(v)), "#values": hashlib.sha256(json.dumps(v, sort_keys=True).encode()).hexdigest()}
        return {k: shrink(x) for k, x in v.items()}
    return v


# ------------------------------------------------------------------------------------------------ what to ask

def mixed(s): return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(s))
def wild(n, i): p = n.split("."); return ".".join(p[:i] + ["*"] + p[i:])


def plan_dns(axfr, cfg, opt):
    """The queries of a recording, from the names that the reference itself lists."""
    rng = random.Random(20240607)
    dom = str(get_ci(cfg, "Domain", "mesos")).lower() + "."
    rec = axfr["Records"] if axfr else {"As": {}, "AAAAs": {}, "SRVs": {}}
    types, cap = opt.get("types", DEFAULT_TYPES), opt.get("cap", 240)
    def usable(n):
        try: name_to_wire(n.replace("\\", "\\\\")); return n.endswith(".")
        except (ValueError, IndexError): return False
    maps = {"A": rec.get("As") or {}, "AAAA": rec.get("AAAAs") or {}, "SRV": rec.get("SRVs") or {}, "PTR": rec.get("PTRs") or {}}
    names = sorted({n for m in maps.values() for n in m if usable(n)})
    with_data = [(n, t) for n in names for t in types if n in maps.get(t, {})]
    rest = [(n, t) for n in names for t in types if n not in maps.get(t, {})]
    rng.shuffle(with_data); rng.shuffle(rest)
    first = with_data[:cap * 6 // 10]
    picked = sorted(first + rest[:cap - len(first)])
    qs = ["%s %s" % (n.replace("\\", "\\\\"), t) for n, t in picked]
    a_names = [n for n in sorted(maps["A"]) if usable(n) and n.endswith("." + dom)]
    s_names = [n for n in sorted(maps["SRV"]) if usable(n)]
    a = next((n for n in a_names if n.count(".") >= 3 and ".slave." not in n), a_names[0] if a_names else "leader." + dom)
    s = next((n for n in s_names if not n.startswith(("_leader", "_slave", "_framework"))), s_names[0] if s_names else "_leader._tcp." + dom)
    qs += ["%s %s" % (dom, t) for t in ("SOA", "NS", "A", "AAAA", "ANY")]
    qs += ["no-such-name." + dom + " " + t for t in ("A", "AAAA", "SRV", "ANY", "SOA", "NS", "TXT")]
    qs += [a.upper() + " A", mixed(a) + " A", mixed(a) + " ANY", mixed(s) + " SRV", mixed("no-such-name." + dom) + " A"]
    known = set(names)
    ents = sorted({p for n in names for p in (n.split(".", k)[k] for k in range(1, n.count("."))) if p not in known and len(p) > len(dom) and p.endswith("." + dom)})
    qs += ["%s %s" % (n.replace("\\", "\\\\"), t) for n in ents[:4] for t in ("A", "SRV", "ANY")]
    qs += [wild(a, 1) + " A", wild(s, 2) + " SRV", {"n": a, "t": "A", "e": {"size": 1232}}, {"n": s, "t": "SRV", "e": {"size": 4096, "do": True}}]
    qs += [{"n": a, "t": "A", "f": ""}, a + " DS", "outside.example. A", "10.2.0.192.in-addr.arpa. PTR"]
    if opt.get("synthetic") == "full": qs += protocol_queries(a, s, dom)
    if opt.get("synthetic") == "forward" or opt.get("forward"): qs += forward_queries(a, dom)
    for n in opt.get("edns_names", []):
        for t in opt.get("edns_types", ["A", "SRV", "ANY"]):
            qs += [{"n": n, "t": t, "e": {"size": z}} for z in (0, 512, 513, 1232, 4096, 65535)]
    qs += opt.get("queries", [])
    seen, out = set(), []
    for q in qs:
        k = json.dumps(q, sort_keys=True)
        if k not in seen: seen.add(k); out.append(q)
    return out


def raw(label, body, **kw): return dict({"hex": body.hex(), "w": label}, **kw)


def protocol_queries(a, s, dom):
    qs = [{"n": a, "t": "A", "c": c} for c in ("CH", "HS", "NONE", "ANY", "CLASS4660")]
    qs += [{"n": a, "t": t, "op": op} for op in ("IQUERY", "STATUS", "NOTIFY", "UPDATE", "DSO", "3", "15") for t in ("A",)]
    qs += [{"n": dom, "t": "SOA", "op": op} for op in ("NOTIFY", "UPDATE")]
    qs += [{"n": a, "t": "A", "f": f} for f in ("rd,ad", "rd,cd", "rd,z", "rd,aa", "rd,tc", "rd,ra", "qr,rd", "ad,cd")]
    qs += [{"n": a, "t": "A", "rc": 3}]
    qs += [{"n": n, "t": t} for n in (a, "no-such-name." + dom, dom) for t in ("DS", "DNSKEY", "RRSIG", "NSEC", "HTTPS", "SVCB", "CAA", "NAPTR", "AXFR", "IXFR", "CNAME", "TYPE65280", "TYPE0", "OPT", "TKEY", "TSIG", "MAILB", "HINFO", "LOC")]
    qs += [{"n": a, "t": "A", "more": [[s, "SRV", "IN"]]}, {"n": a, "t": "A", "more": [[a, "A", "IN"]]}, {"n": a, "t": "A", "more": [["outside.example.", "A", "IN"]]}, {"n": "no-such-name." + dom, "t": "A", "more": [[a, "A", "IN"]]}]
    qs += [{"n": a, "t": "A", "e": e} for e in ({"size": 0}, {"size": 512}, {"size": 1232}, {"size": 4096}, {"size": 65535}, {"size": 1232, "ver": 1}, {"size": 1232, "ver": 255}, {"size": 1232, "do": True},
            {"size": 1232, "opts": [[3, ""]]}, {"size": 1232, "opts": [[10, "0102030405060708"]]}, {"size": 1232, "opts": [[8, "0001180000010203"[:12]]]}, {"size": 1232, "opts": [[8, "00011800c0a80a"]]}, {"size": 1232, "opts": [[65001, "aabb"]]},
            {"size": 4096, "opts": [[12, "00" * 200]]}, {"size": 4096, "opts": [[12, "00" * 600]]}, {"size": 1232, "owner": "opt.example."}, [{"size": 512}, {"size": 1232}])]
    qs += [{"n": n, "t": "A", "e": {"size": 1232, "ver": 1}} for n in (dom, "no-such-name." + dom, "outside.example.")]
    qs += [w + " A" for w in (wild(a, 0), wild(a, 1), wild(a, 2), a.replace(".", ".*.", 1), a[:2] + ".*" + a[2:], a[:-1] + ".*.", "*." + dom, "*.*." + dom)]
    qs += [wild(s, 1) + " SRV", wild(s, 0) + " SRV", wild(a, 1) + " ANY", wild(a, 1) + " SOA"]
    qs += [n + " A" for n in ("x" + dom, "mesos.", "mesos.example.", ".".join(["a"] * 100) + "." + dom if len(dom) < 50 else dom, "x" * 63 + "." + dom, ".", "localhost.", a.rstrip(".") + "\\.x." + dom, "a\\032b." + dom, "\\000." + dom, "\\255." + dom, "a\\\\b." + dom)]
    qs += [". NS", ". SOA", "version.bind. TXT", {"n": "version.bind.", "t": "TXT", "c": "CH"}, {"n": "id.server.", "t": "TXT", "c": "CH"}]
    H = lambda f, qd, an=0, ns=0, ar=0: struct.pack("!HHHHHH", 0, f, qd, an, ns, ar)
    Q = name_to_wire(a) + struct.pack("!HH", 1, 1)
    rr_a = name_to_wire(a) + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x0a\x00\x00\x01"
    qs += [raw("no-question", H(0x100, 0)), raw("header-only-qdcount-1", H(0x100, 1)), raw("no-question-with-opt", H(0x100, 0, 0, 0, 1) + opt_rr({})),
           raw("question-cut-short", H(0x100, 1) + Q[:-3]), raw("name-cut-short", H(0x100, 1) + Q[:4]), raw("qdcount-2-one-question", H(0x100, 2) + Q), raw("qdcount-65535", H(0x100, 65535) + Q),
           raw("label-type-0x40", H(0x100, 1) + b"\x41a\0\0\1\0\1"), raw("label-type-0x80", H(0x100, 1) + b"\x81a\0\0\1\0\1"), raw("pointer-to-itself", H(0x100, 1) + b"\xc0\x0c\0\1\0\1"),
           raw("pointer-forward", H(0x100, 1) + b"\xc0\x12\0\1\0\1" + Q), raw("pointer-into-header", H(0x100, 1) + b"\xc0\x04\0\1\0\1"), raw("pointer-past-end", H(0x100, 1) + b"\xff\xff\0\1\0\1"),
           raw("name-of-256-octets", H(0x100, 1) + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\x01a" + b"\0\0\1\0\1"), raw("name-of-400-octets", H(0x100, 1) + (b"\x3f" + b"a" * 63) * 6 + b"\x0d" + b"a" * 13 + b"\0\0\1\0\1"),
           raw("trailing-bytes", H(0x100, 1) + Q + b"\xde\xad\xbe\xef"), raw("answer-in-query", H(0x100, 1, 1) + Q + rr_a), raw("authority-in-query", H(0x100, 1, 0, 1) + Q + rr_a), raw("additional-in-query", H(0x100, 1, 0, 0, 1) + Q + rr_a),
           raw("ancount-lies", H(0x100, 1, 5) + Q), raw("rr-cut-short", H(0x100, 1, 1) + Q + rr_a[:-2]), raw("opt-rdlength-lies", H(0x100, 1, 0, 0, 1) + Q + b"\0\0\x29\x04\xd0\0\0\0\0\0\x09"),
           raw("opt-option-length-lies", H(0x100, 1, 0, 0, 1) + Q + b"\0\0\x29\x04\xd0\0\0\0\0\0\x05\0\x0a\0\xff\1"), raw("a-record-rdlength-5", H(0x100, 1, 1) + Q + rr_a[:-6] + b"\0\x05\x0a\0\0\1\1"),
           raw("tc-bit-and-question", H(0x300, 1) + Q), raw("all-flags-query", H(0x7fff & ~0x7800, 1) + Q), raw("response-bit", H(0x8100, 1) + Q), raw("qtype-65535", H(0x100, 1) + name_to_wire(a) + b"\xff\xff\0\1"),
           raw("eleven-octets", b"\0\0\1\0\0\1\0\0\0\0\0", short=1), raw("two-octets", b"\0\0", short=1)]
    return qs


def forward_queries(a, dom):
    up = ["a", "cname", "whoami", "echo", "big", "nx", "servfail", "refused", "empty", "aa", "noquestion", "edns", "over", "wrongq", "unknown-type", "badvers", "other"]
    qs = ["%s.example. %s" % (n, t) for n in up for t in ("A", "TXT")]
    qs += ["a.example. AAAA", "a.example. ANY", "a.example. MX", "A.ExAmPlE. A", {"n": "echo.example.", "t": "TXT", "f": ""}, {"n": "echo.example.", "t": "TXT", "f": "rd,ad,cd"}, {"n": "EcHo.Example.", "t": "TXT", "e": {"size": 4096, "do": True, "opts": [[10, "0102030405060708"]]}},
           {"n": "echo.example.", "t": "TXT", "e": {"size": 1232, "ver": 1}}, {"n": "echo.example.", "t": "TXT", "c": "CH"}, {"n": "echo.example.", "t": "TXT", "op": "NOTIFY"}, {"n": "echo.example.", "t": "TXT", "more": [["a.example.", "A", "IN"]]}]
    for n in ("big", "edns", "over"): qs += [{"n": n + ".example.", "t": "A", "e": {"size": z}} for z in (512, 1000, 1232, 4096)]
    qs += ["whoami.weave. TXT", "whoami.sub.weave. TXT", "WHOAMI.Weave. TXT", "whoami.corp. TXT", "xweave. TXT", "weave. A", "10.2.0.192.in-addr.arpa. PTR", "whoami.Corp. TXT"]
    qs += [a + " DS", dom + " DS", "*.example. A", "a.*.example. A", a.rstrip(".") + ".example. A"]
    return qs


def plan_http(axfr, cfg, opt):
    rec = axfr["Records"] if axfr else {"As": {}, "AAAAs": {}, "SRVs": {}}
    dom = str(get_ci(cfg, "Domain", "mesos")).lower()
    rng = random.Random(77)
    def pick(m, n): m = sorted(m); return m if len(m) <= n else sorted(rng.sample(m, n))
    enc = lambda n: urllib.parse.quote(n, safe="-._~*:!'()")
    reqs = ["GET /v1/axfr", "GET /v1/enumerate", "GET /v1/config", "GET /v1/version"]
    hosts = pick(set(rec["As"]) | set(rec["AAAAs"]), opt.get("http_names", 14)); svcs = pick(rec["SRVs"], opt.get("http_names", 14))
    reqs += ["GET /v1/hosts/" + enc(n) for n in hosts] + ["GET /v1/services/" + enc(n) for n in svcs]
    if hosts:
        h = next((n for n in hosts if n.count(".") > 2), hosts[0])
        reqs += ["GET /v1/hosts/" + enc(x) for x in (h.rstrip("."), h.upper(), wild(h, 1), "no-such-name." + dom, "outside.example.")]
    if svcs:
        v = next((n for n in svcs if n.count(".") > 3), svcs[0])
        reqs += ["GET /v1/services/" + enc(x) for x in (v.rstrip("."), v.upper(), wild(v, 1), "_no-such._tcp." + dom + ".")]
    out = [{"req": r} for r in dict.fromkeys(reqs)]
    if opt.get("http_odd"):
        h, v = hosts[0] if hosts else "leader." + dom, svcs[0] if svcs else "_leader._tcp." + dom
        for r in ("GET /", "GET /v1", "GET /v1/", "GET /v1/hosts", "GET /v1/hosts/", "GET /v1/services", "GET /v1/services/", "GET /v1/hosts/" + h + "/ports", "GET /v1/hosts/" + h + "/ports/", "GET /v1/hosts/" + h + "/", "GET /v1/hosts/" + h + "/x",
                  "GET /v1/services/" + v + "/", "GET /v1/services/" + v + "/x", "GET /v1/version/", "GET /v1/version/x", "GET /v1/version?x=y", "GET //v1/version", "GET /v1//version", "GET /v1/./version", "GET /v1/../v1/version", "GET /V1/version", "GET /v2/version", "GET /v1/hosts/%2e%2a",
                  "GET /v1/hosts/.*", "GET /v1/services/.*", "GET /v1/hosts/.", "GET /v1/hosts/%20", "GET /v1/hosts/a%2Fb", "GET /v1/hosts/%C3%A9.mesos", "GET /v1/hosts/" + "x" * 300, "HEAD /v1/version", "HEAD /v1/axfr", "POST /v1/version", "PUT /v1/axfr", "DELETE /v1/hosts/" + h,
                  "OPTIONS /v1/version", "PATCH /v1/config", "GET /metrics", "GET /health", "GET /v1/axfr/", "GET /v1/enumerate/", "GET /v1/hosts/leader." + dom + "?x=1#y"): out.append({"req": r})
        for hd in ({"Accept": "text/html"}, {"Accept": "application/xml"}, {"Accept": "*/*"}, {"Accept": "text/html, application/json;q=0.5"}, {"Accept": "application/*"}, {"Accept": ""}, {"Content-Type": "text/plain"}, {"Accept-Encoding": "gzip"}): out.append({"req": "GET /v1/version", "hdr": hd})
        out += [{"req": "GET /v1/version", "hdr": {"Content-Type": "text/plain"}, "body": "x"}, {"req": "POST /v1/version", "hdr": {"Content-Type": "application/json"}, "body": "{}"}]
    return out + [x if isinstance(x, dict) else {"req": x} for x in opt.get("http", [])]


def plan_order(axfr, opt):
    """Names whose answers' order is looked at over many repeats."""
    rec = axfr["Records"] if axfr else {}
    out = [(n, "A", len(v)) for n, v in sorted(rec.get("As", {}).items()) if 2 <= len(v) <= 8][:3] + [(n, "SRV", len(v)) for n, v in sorted(rec.get("SRVs", {}).items()) if 2 <= len(v) <= 8][:2] + [(n, "AAAA", len(v)) for n, v in sorted(rec.get("AAAAs", {}).items()) if 2 <= len(v) <= 8][:1]
    def ok(n):
        try: name_to_wire(n); return n == n.lower() and ".*" not in n and "\\" not in n
        except (ValueError, IndexError): return False
    return [{"q": "%s %s" % (n, t), "times": 20 * k} for n, t, k in out if ok(n)] + opt.get("order", [])


# ------------------------------------------------------------------------------------------------ asking

def tcp_probes(prog, names, a):
    """Behaviour of a TCP connection that single queries do not show."""
    out = {}
    def conn(): s = socket.create_connection((prog.addr, prog.dns_port), 5); s.settimeout(4); return s
    def read_all(s, want, limit=6):
        buf, n, end = b"", 0, time.time() + limit
        while n < want and time.time() < end:
            try: d = s.recv(65536)
            except socket.timeout: return n, "open"
            except OSError: return n, "closed"
            if not d: return n, "closed"
            buf += d
            while len(buf) >= 2 and len(buf) >= 2 + struct.unpack("!H", buf[:2])[0]: buf = buf[2 + struct.unpack("!H", buf[:2])[0]:]; n += 1
        return n, "open"
    m = lambda i: build(a + " A", i); fr = lambda x: struct.pack("!H", len(x)) + x
    if "pipeline" in names:
        s = conn(); s.sendall(b"".join(fr(m(i)) for i in range(1, 11))); out["ten queries in one write: answers"] = read_all(s, 10)[0]; s.close()
    if "split-length" in names:
        s = conn(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); x = fr(m(7)); s.sendall(x[:1]); time.sleep(0.15)
        try: s.sendall(x[1:])
        except OSError: pass
        n, st = read_all(s, 1, 4); out["length prefix in two segments"] = "answered" if n else st; s.close()
    if "split-body" in names:
        s = conn(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); x = fr(m(7)); s.sendall(x[:9]); time.sleep(0.15); s.sendall(x[9:]); n, st = read_all(s, 1, 4); out["message body in two segments"] = "answered" if n else st; s.close()
    if "many" in names:
        s, n, st = conn(), 0, "open"
        for i in range(300):
            try: s.sendall(fr(m(i + 1)))
            except OSError: st = "closed"; break
            k, st = read_all(s, 1)
            n += k
            if not k: break
        out["queries answered on one connection (300 sent)"] = n; s.close()
    if "zero-length" in names:
        s = conn(); s.sendall(b"\0\0" + fr(m(9))); n, st = read_all(s, 1, 4); out["zero-length message, then a query"] = "answered" if n else st; s.close()
    if "half-close" in names:
        s = conn(); s.sendall(fr(m(9))); s.shutdown(socket.SHUT_WR); n, st = read_all(s, 1, 4); out["query, then end of input"] = "answered" if n else st; s.close()
    return out


def ask_all(prog, cl, nm, dns, https, order, probes, opt, ranges):
    res = {"dns": [], "http": [], "order": [], "probes": {}}
    patience = opt.get("patience", 0.45)
    if prog.http_on:
        for h in https:
            try: st, ct, b = fetch(prog.http_addr, prog.http_port, h["req"], h.get("hdr"), h.get("body")); r = nm.http(h["req"], st, ct, b)
            except (OSError, http.client.HTTPException) as e: r = {"error": type(e).__name__}
            res["http"].append(dict(h, **r))
    if prog.dns_on:
        for q in dns:
            p = parse_q(q).get("patience", patience)
            u, t = nm.msg(q, cl.ask(q, "udp", p), "udp"), nm.msg(q, cl.ask(q, "tcp", p), "tcp")
            e = {"q": q, "udp": u, "tcp": t}
            if isinstance(u, dict) and isinstance(t, dict) and "rc" in u and "rc" in t:
                cut = u["rc"] == t["rc"] and len(u.get("an", [])) < len(t.get("an", []))
                tcut = "tc" in t["fl"].split(" ")
                if not tcut and t["_len"] > 60000:               # near 64 KiB: cut without saying so when it varies
                    tcut = any((w if isinstance(w, dict) else {}).get("an") != t.get("an") for w in (nm.msg(q, cl.ask(q, "tcp", p), "tcp") for _ in range(2)))
                if cut or tcut:
                    e["cut"] = [x for x, c in (("udp", cut), ("tcp", tcut)) if c]
                    if ranges:
                        for x in e["cut"]:
                            ns = [len(e[x].get("an", []))]
                            for _ in range(24 if x == "udp" else 4):
                                w = nm.msg(q, cl.ask(q, x, p), x)
                                if isinstance(w, dict): ns.append(len(w.get("an", [])))
                            e["range_" + x] = [min(ns), max(ns)]
            res["dns"].append(e)
            if prog.exit_code() is not None: break
        for o in order:
            firsts = set()
            for _ in range(o["times"]):
                w = nm.msg(o["q"], cl.ask(o["q"], "tcp"), "tcp")
                firsts.add(w.get("_first") if isinstance(w, dict) else w)
            res["order"].append(dict(o, first=sorted(x or "" for x in firsts)))
        if probes and prog.exit_code() is None:
            a = next((parse_q(q)["n"] for q in dns if parse_q(q).get("t") == "A" and "hex" not in parse_q(q)), "leader.mesos.")
            res["probes"] = tcp_probes(prog, probes, a)
    if prog.exit_code() is not None: res["exited"] = prog.exit_code()
    return res


def to_stored(res):
    """The compact form that is written to expected.json."""
    out = {}
    for e in res["dns"]:
        s = {"q": e["q"]}
        for x in ("udp", "tcp"):
            m = e[x]
            if isinstance(m, dict):
                m = {k: v for k, v in m.items() if not k.startswith("_")}
                if x in e.get("cut", []): m["an"] = {"#some": e.get("range_" + x, [len(m.get("an", []))] * 2)}
            s[x] = shrink(m)
        if s["udp"] == s["tcp"]: s["tcp"] = "="
        out.setdefault("dns", []).append(s)
    for h in res["http"]: out.setdefault("http", []).append(shrink({k: v for k, v in h.items() if not k.startswith("_")}))
    if res["order"]: out["order"] = res["order"]
    if res["probes"]: out["probes"] = res["probes"]
    if "exited" in res: out["exited"] = res["exited"]
    return out


# ------------------------------------------------------------------------------------------------ running a case

class Case:
    def __init__(self, path):
        self.dir = os.path.abspath(path); self.name = os.path.basename(self.dir)
        p = os.path.join(self.dir, "case.json")
        self.opt = json.load(open(p, encoding="utf-8")) if os.path.exists(p) else {}
        p = os.path.join(self.dir, "state.json"); self.state = open(p, "rb").read() if os.path.exists(p) else b"{}"
        p = os.path.join(self.dir, "config.json"); self.config = json.load(open(p, encoding="utf-8")) if os.path.exists(p) else {}


def masters_of(case, spec=None, state=None): return Master(spec or case.opt.get("masters", {"127.0.0.1:5050": {}}), case.dir, case.state if state is None else state)


def upstreams():
    ups = [Upstream("up1", "127.0.0.1", 5301), Upstream("up2", "127.0.0.1", 5302)]
    if Isolation.active: ups.append(Upstream("ns", "127.0.0.1", 53, only_nx=True))
    return ups


def run_case(case, binary, tmp, plan=None, ranges=True):
    """Returns (result, plan). With a plan (a stored recording) asks what was asked there; without one makes it."""
    if "variants" in case.opt: return run_variants(case, binary, tmp, plan)
    for f in os.listdir(case.dir):
        if f.endswith(".pem"): shutil.copy(os.path.join(case.dir, f), tmp)
    m, ups = masters_of(case), upstreams()
    res, opt = {}, case.opt
    exp_ready = plan["ready"] if plan else opt.get("expect_ready", True)
    prog = Program(binary, case.config, tmp)
    try:
        res["ready"] = prog.wait(m, opt.get("wait", 25 if exp_ready else 12), opt.get("settle", 1.0), exp_ready)
        res["served"] = prog.served
        if prog.exit_code() is not None: res["ready"], res["exit"] = False, prog.exit_code()
        with m.lock: res["master"] = uniq_requests(m.log)
        if not res["ready"]: return res
        cl = Client(prog.addr, prog.dns_port, opt.get("patience", 0.45)) if prog.dns_on else None
        phases = [None] + opt.get("steps", [])
        for i, step in enumerate(phases):
            if step:
                with m.lock: m.state = open(os.path.join(case.dir, step["state"]), "rb").read(); base = m.done
                end = time.time() + 20
                while time.time() < end and prog.exit_code() is None:
                    with m.lock: n = m.done - base
                    if n >= 3: break
                    time.sleep(0.05)
                time.sleep(0.3)
            key = "phase%d" % i
            if prog.exit_code() is not None: res[key] = {"dns": [], "http": [], "order": [], "probes": {}, "exited": prog.exit_code()}; continue
            nm = Normal(prog, cl)
            axfr = None
            if prog.http_on and not plan:
                try: st, _, b = fetch(prog.http_addr, prog.http_port, "GET /v1/axfr"); axfr = json.loads(b) if st == 200 else None
                except (OSError, ValueError): pass
            if plan: s = plan.get(key, {}); dns, https, order, probes = [x["q"] for x in s.get("dns", [])], [{k: x[k] for k in ("req", "hdr", "body") if k in x} for x in s.get("http", [])], [{k: x[k] for k in ("q", "times")} for x in s.get("order", [])], opt.get("probes", [])
            else:
                o = opt if i == 0 else dict(opt, synthetic=None, forward=None, queries=opt.get("queries", []))
                dns, https, order, probes = plan_dns(axfr, case.config, o), plan_http(axfr, case.config, o), plan_order(axfr, o), opt.get("probes", [])
            res[key] = ask_all(prog, cl, nm, dns, https, order, probes if i == 0 else [], opt, ranges)
        if cl: cl.close()
        return res
    finally:
        res["log"] = open(os.path.join(tmp, "program.log"), "rb").read()[-4000:].decode("utf-8", "replace")
        prog.stop(); m.close(); [u.close() for u in ups]


def uniq_requests(log):
    out = []
    for r in log:
        if r not in out: out.append(r)
    return out[:6]


def variant_config(case, v):
    cfg = case.config
    for k, x in v.get("config", {}).items(): cfg = set_ci(cfg, **{k: x})
    for k in v.get("drop", []): cfg = {a: b for a, b in cfg.items() if a.lower() != k.lower()}
    return cfg


def run_variants(case, binary, tmp, plan):
    """Many small starts of the program: each variant changes the state or the configuration; is it ready, does it exit, what does axfr hold."""
    out, ups = {"ready": None, "variants": {}}, upstreams()
    for v in case.opt["variants"]:
        vt = os.path.join(tmp, "v"); shutil.rmtree(vt, ignore_errors=True); os.makedirs(vt)
        state = v.get("state")
        m = masters_of(case, v.get("masters"), state if state is None else (state if isinstance(state, str) else json.dumps(state, ensure_ascii=False)).encode("utf-8", "surrogatepass"))
        cfg = variant_config(case, v)
        prog = Program(binary, cfg, vt, raw_config=v.get("raw_config"))
        r = {}
        try:
            want = (plan["variants"].get(v["name"], {}).get("ready", True) if plan else v.get("expect_ready", True))
            r["ready"] = prog.wait(m, v.get("wait", 12), 0.6, want)
            r["served"] = prog.served
            if prog.exit_code() is None and not r["ready"]: time.sleep(0.2)
            if prog.exit_code() is not None: r["ready"], r["exit"] = False, prog.exit_code()
            if "masters" in v:
                with m.lock: r["master"] = uniq_requests([{"to": x["to"], "path": x["path"]} for x in m.log])
            if r["ready"]:
                cl = Client(prog.addr, prog.dns_port) if prog.dns_on else None
                nm = Normal(prog, cl)
                https = [{"req": "GET /v1/axfr"}] + ([{"req": "GET /v1/config"}] if v.get("show_config") else []) + [{"req": x} for x in v.get("http", [])]
                r["phase0"] = ask_all(prog, cl, nm, v.get("queries", []), https, [], [], {}, True)
                if cl: cl.close()
        finally:
            r["log"] = open(os.path.join(vt, "program.log"), "rb").read()[-1500:].decode("utf-8", "replace")
            prog.stop(); m.close()
        out["variants"][v["name"]] = r
    return out


def stored(case, res, label):
    out = {"format": FORMAT, "case": case.name, "reference": label}
    def one(r):
        o = {k: r[k] for k in ("ready", "exit") if k in r}
        if "master" in r: o["master"] = r["master"]
        for k in sorted(x for x in r if x.startswith("phase")): o[k] = to_stored(r[k])
        return o
    if "variants" in res: out["ready"] = None; out["variants"] = {k: one(v) for k, v in res["variants"].items()}
    else: out.update(one(res))
    return out


def dump(v, depth=0):
    """JSON with one element of a long list (a query, a request) a line."""
    pad = " " * (depth + 1)
    j = lambda x: json.dumps(x, ensure_ascii=False, separators=(",", ":"))
    if isinstance(v, dict) and v and depth < 3 and any(isinstance(x, (dict, list)) for x in v.values()) and len(j(v)) > 200:
        return "{\n" + ",\n".join(pad + j(k) + ": " + dump(x, depth + 1) for k, x in v.items()) + "\n" + " " * depth + "}"
    if isinstance(v, list) and v and depth < 4 and isinstance(v[0], dict): return "[\n" + ",\n".join(pad + j(x) for x in v) + "\n" + " " * depth + "]"
    return j(v)


# ------------------------------------------------------------------------------------------------ command line

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["record", "compare", "diff"])
    ap.add_argument("--binary"); ap.add_argument("--case"); ap.add_argument("--out"); ap.add_argument("--expected"); ap.add_argument("--got"); ap.add_argument("--allow")
    ap.add_argument("--label", default="mesos-dns"); ap.add_argument("--no-isolate", action="store_true"); ap.add_argument("--verbose", action="store_true"); ap.add_argument("--dump", help="compare: also write what was got to this file"); ap.add_argument("--report", help="compare: write every difference, allowed or not, as JSON to this file")
    a = ap.parse_args()
    if a.cmd == "diff":
        e, g = (json.load(open(x, encoding="utf-8")) for x in (a.expected, a.got))
        d = Diff(e["case"], load_allow(a.allow)); deep(d, "recording", "", {k: v for k, v in e.items() if k != "reference"}, {k: v for k, v in g.items() if k != "reference"})
        print("\n".join(d.lines)); return 1 if d.bad else 0
    if not a.binary or not a.case: ap.error("--binary and --case are needed")
    case, binary = Case(a.case), os.path.abspath(a.binary)
    out = os.path.abspath(a.out or os.path.join(case.dir, "expected.json")); exp_path = os.path.abspath(a.expected or os.path.join(case.dir, "expected.json")); dump_to = a.dump and os.path.abspath(a.dump); report_to = a.report and os.path.abspath(a.report)
    allow = load_allow(a.allow)
    tmp = tempfile.mkdtemp(prefix="oracle-")
    try:
        inside = not a.no_isolate and Isolation.enter(case.opt.get("hosts", {}), tmp)
        need = case.opt.get("needs", [])
        if not inside and "isolation" in need: print("%s: SKIP (needs a network namespace)" % case.name); return SKIP
        if "ipv6" in need and inside and not Isolation.ipv6: print("%s: SKIP (needs IPv6)" % case.name); return SKIP
        if a.cmd == "record":
            res = run_case(case, binary, tmp)
            if a.verbose: print(res.get("log", "") or {k: v.get("log") for k, v in res.get("variants", {}).items()})
            open(out, "w", encoding="utf-8").write(dump(stored(case, res, a.label)) + "\n")
            print("%s: recorded, %s" % (case.name, summary(res))); return 0
        exp = json.load(open(exp_path, encoding="utf-8"))
        res = run_case(case, binary, tmp, plan=exp, ranges=False)
        if dump_to: open(dump_to, "w", encoding="utf-8").write(dump(stored(case, res, "got")) + "\n")
        d = Diff(case.name, allow); compare_case(d, case, exp, res)
        if a.report: json.dump({"case": case.name, "bad": d.bad, "used": dict(d.used), "differences": d.all, "log": res.get("log", "")}, open(report_to, "w", encoding="utf-8"), ensure_ascii=False)
        for l in d.lines: print(l)
        print("%s: %d difference(s), %d allowed" % (case.name, d.bad, sum(d.used.values())))
        if d.bad and a.verbose: print(res.get("log", "") or {k: v.get("log") for k, v in res.get("variants", {}).items()})
        return 1 if d.bad else 0
    finally: shutil.rmtree(tmp, ignore_errors=True)


def summary(res):
    if "variants" in res: return "%d variants: %s" % (len(res["variants"]), ", ".join("%s=%s" % (k, "ready" if v["ready"] else "exit %s" % v["exit"] if "exit" in v else "not ready") for k, v in res["variants"].items()))
    if not res["ready"]: return "not ready, exit code %s" % res.get("exit")
    return " / ".join("%d queries, %d requests" % (len(v["dns"]), len(v["http"])) + (", exited %s" % v["exited"] if "exited" in v else "") for k, v in sorted(res.items()) if k.startswith("phase"))


if __name__ == "__main__":
    sys.exit(main())
