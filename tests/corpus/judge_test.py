#!/usr/bin/env python3
"""Tests of the judge: a line allows what it says and no more, and a rule sees the fault it is there for."""
import os, struct, sys, tempfile, unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judge, oracle

AXFR = {"Mname": "ns1.mesos.", "Rname": "root.ns1.mesos.", "Records": {
    "As": {"web.m.mesos.": ["10.0.0.1", "10.0.0.2"], "ns1.mesos.": ["127.0.0.1"]}, "AAAAs": {}, "SRVs": {"_web._tcp.m.mesos.": ["web.m.mesos.:80"]}}}
SOA = "mesos. 60 IN SOA ns1.mesos. root.ns1.mesos. SERIAL 60 600 86400 60"


def zone(**cfg): return judge.Zone(cfg, {"http": [{"req": "GET /v1/axfr", "status": 200, "json": AXFR}]}, {})


def answer(rc="NOERROR", fl="qr aa rd ra", an=(), ns=(), ar=(), length=100, **more):
    """A normal form as oracle.py makes it; records as (owner, ttl, class, type, data)."""
    text = lambda rows: ["%s %s %s %s %s" % r for r in rows]
    return dict({"rc": rc, "fl": fl, "an": text(an), "ns": list(ns), "ar": text(ar), "_len": length, "_raw": {"an": list(an), "ns": [], "ar": list(ar)}}, **more)


def kinds(q, g, proto="tcp", **cfg):
    d = judge.Diff("case", [])
    judge.judge_rules(d, zone(**cfg), oracle.parse_q(q), "where", proto, g)
    return [x["kind"] for x in d.all]


A1, A2 = ("web.m.mesos.", 60, "IN", "A", "10.0.0.1"), ("web.m.mesos.", 60, "IN", "A", "10.0.0.2")
SRV = ("_web._tcp.m.mesos.", 60, "IN", "SRV", "0 1 80 web.m.mesos.")


class Rules(unittest.TestCase):
    def test_right_answers_pass(self):
        self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1, A2])), [])
        self.assertEqual(kinds("_web._tcp.m.mesos. SRV", answer(an=[SRV], ar=[A1, A2])), [])
        self.assertEqual(kinds("nx.mesos. A", answer(rc="NXDOMAIN", ns=[SOA])), [])
        self.assertEqual(kinds("m.mesos. A", answer(ns=[SOA])), [])
        self.assertEqual(kinds("example.com. A", answer(rc="REFUSED", fl="qr rd"), ExternalOn=False), [])
        self.assertEqual(kinds("example.com. A", answer(fl="qr rd ra", an=[("example.com.", 7, "IN", "A", "192.0.2.1")])), [])

    def test_missing_answer_that_would_fit(self): self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1], fl="qr aa tc rd ra")), ["rule-fit"])
    def test_tc_without_loss(self): self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1, A2], fl="qr aa tc rd ra")), ["rule-tc"])
    def test_loss_without_tc(self): self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1], length=500), "udp"), ["rule-tc"])
    def test_loss_with_tc_when_full(self): self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1], fl="qr aa tc rd ra", length=500), "udp"), [])
    def test_tc_off(self): self.assertEqual(kinds("web.m.mesos. A", answer(an=[A1], length=500), "udp", SetTruncateBit=False), [])
    def test_record_of_another_name(self): self.assertIn("rule-answer", kinds("web.m.mesos. A", answer(an=[A1, A2, ("web.m.mesos.", 60, "IN", "A", "10.9.9.9")])))
    def test_record_twice(self): self.assertIn("rule-duplicates", kinds("web.m.mesos. A", answer(an=[A1, A2, A2])))
    def test_owner_in_another_case(self): self.assertIn("rule-owner", kinds("WEB.m.mesos. A", answer(an=[A1, A2])))
    def test_ttl(self): self.assertIn("rule-ttl", kinds("web.m.mesos. A", answer(an=[A1, A2[:1] + (61,) + A2[2:]])))
    def test_nxdomain_of_an_empty_non_terminal(self): self.assertIn("rule-rcode", kinds("m.mesos. A", answer(rc="NXDOMAIN", ns=[SOA])))
    def test_noerror_of_an_absent_name(self): self.assertIn("rule-rcode", kinds("nx.mesos. SRV", answer(ns=[SOA])))
    def test_no_soa(self): self.assertIn("rule-authority", kinds("web.m.mesos. TXT", answer()))
    def test_ttl_of_negative_soa(self): self.assertIn("rule-authority", kinds("web.m.mesos. TXT", answer(ns=[SOA]), SOAMinttl=30))
    def test_address_of_no_target(self): self.assertIn("rule-additional", kinds("_web._tcp.m.mesos. SRV", answer(an=[SRV], ar=[A1, A2, ("x.m.mesos.", 60, "IN", "A", "10.0.0.1")])))
    def test_address_left_out(self): self.assertIn("rule-additional-fit", kinds("_web._tcp.m.mesos. SRV", answer(an=[SRV], ar=[A1])))
    def test_opt_without_opt(self): self.assertIn("rule-edns", kinds("web.m.mesos. A", answer(an=[A1, A2], edns={"do": False, "opts": "", "size": 1232, "ver": 0})))
    def test_cookie_for_cookie(self):
        asked = {"n": "web.m.mesos.", "t": "A", "e": {"opts": [[10, "0102030405060708"]]}}
        judged = lambda opts: kinds(asked, answer(an=[A1, A2], edns={"do": False, "opts": opts, "size": 1232, "ver": 0}))
        self.assertNotIn("rule-edns", judged("000a0018010203040506070801000000" + "5a" * 12))
        for opts in ("", "000a00080102030405060708", "000a0018ff0203040506070801000000" + "5a" * 12): self.assertIn("rule-edns", judged(opts))
    def test_no_opt_for_opt(self): self.assertIn("rule-edns", kinds({"n": "web.m.mesos.", "t": "A", "e": {}}, answer(an=[A1, A2])))
    def test_answered_outside(self): self.assertIn("rule-flags", kinds("example.com. A", answer(rc="REFUSED", fl="qr rd ra"), ExternalOn=False))
    def test_forwarded_over_the_clients_size(self): self.assertEqual(kinds("example.com. A", answer(fl="qr rd ra", length=513), "udp"), ["rule-size"])
    def test_over_the_limit(self): self.assertIn("rule-size", kinds("web.m.mesos. A", answer(an=[A1, A2], length=513), "udp"))


class Lines(unittest.TestCase):
    def load(self, text):
        with tempfile.TemporaryDirectory() as t:
            for name, body in (("DECISIONS.md", "| # | d |\n| 1, 2 | fix |\n"), ("a", text)): open(os.path.join(t, name), "w").write(body)
            return judge.load_allow(os.path.join(t, "a"))

    def test_a_line_needs_a_comment_and_a_decision(self):
        for text in ("1 | * | rcode | *\n", "# why\n9 | * | rcode | *\n", "# why\n1 | * | rule-rcode | *\n", "# why\n1 | * | * | *\n", "# why\n1 | *\n"):
            with self.assertRaises(SystemExit): self.load(text)

    def test_a_line_allows_what_it_says_and_no_more(self):
        lines = self.load('# why\n2 | web* | rcode | ~udp/.* | plain !wild | ["NAME-SOA"] | NOERROR\n')
        m = lambda *a: any(l.matches(*a) for l in lines)
        self.assertTrue(m("web-1", "rcode", "udp/x", {"plain", "inside"}, '["NAME-SOA"]', "NOERROR"))
        for case, kind, where, when, e, g in (("we", "rcode", "udp/x", {"plain"}, '["NAME-SOA"]', "NOERROR"), ("web", "answer", "udp/x", {"plain"}, '["NAME-SOA"]', "NOERROR"), ("web", "rcode", "tcp/x", {"plain"}, '["NAME-SOA"]', "NOERROR"),
                                              ("web", "rcode", "udp/x", {"plain", "wild"}, '["NAME-SOA"]', "NOERROR"), ("web", "rcode", "udp/x", set(), '["NAME-SOA"]', "NOERROR"), ("web", "rcode", "udp/x", {"plain"}, "N", "NOERROR"), ("web", "rcode", "udp/x", {"plain"}, '["NAME-SOA"]', "NXDOMAIN")):
            self.assertFalse(m(case, kind, where, when, e, g))


class Names(unittest.TestCase):
    def test_whole_wildcard_labels_behind_the_first_are_cut(self):
        for name, want in (("web.*.m.mesos.", "web.m.mesos."), ("*.web.mesos.", "*.web.mesos."), ("we.*b.mesos.", "we.*b.mesos."), ("web.mesos.*.", "web.mesos."), ("a\\.*.*.mesos.", "a\\.*.mesos.")):
            self.assertEqual(judge.strip_wild(name), want)

    def test_places(self):
        z = zone()
        for name, want in (("mesos.", "apex"), ("m.mesos.", "ent"), ("_tcp.m.mesos.", "ent"), ("web.m.mesos.", "exists"), ("x.mesos.", "absent"), ("xmesos.", "outside"), (".", "outside")):
            self.assertEqual(z.place(name), want)


if __name__ == "__main__": unittest.main(warnings="ignore")
