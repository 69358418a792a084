#!/usr/bin/env python3
"""Tests of tests/cost: it fails where it should, says of what and what to do, and lets pass what it should."""
import copy, json, os, subprocess, sys, tempfile, unittest

COST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cost")
BASELINE = {"made_with": {"rustc": "rustc 1.95.0", "libc": "glibc 2.36", "machine": "x86_64"}, "instructions": {"A": 500.0, "SRV": 2000.0}}


def cost(now, *more):
    """Exit status and output for counts beside the baseline, and the baseline as it is afterwards."""
    with tempfile.TemporaryDirectory() as work:
        paths = [os.path.join(work, name) for name in ("baseline.json", "counts.json")]
        for path, counts in zip(paths, (BASELINE, now)):
            with open(path, "w") as file: json.dump(counts, file)
        done = subprocess.run([sys.executable, "-B", COST, "--baseline", paths[0], "--counts", paths[1], *more], stdout=subprocess.PIPE, universal_newlines=True)
        with open(paths[0]) as file: return done.returncode, done.stdout, json.load(file)


def counts(of="instructions", **values):
    now = copy.deepcopy(BASELINE)
    now[of].update(values)
    return now


class Cost(unittest.TestCase):
    def test_four_percent_more_fail_and_are_named(self):
        status, said, _ = cost(counts(SRV=2080.0))
        self.assertEqual(status, 1)
        self.assertIn("FAILED: SRV: 2000.0 instructions, now 2080.0 (+4.0 %)", said)
        self.assertIn("tests/cost --accept", said)
        self.assertNotIn("FAILED: A", said)

    def test_two_percent_more_pass(self): self.assertEqual(cost(counts(A=510.0, SRV=2040.0))[0], 0)
    def test_one_kind_is_not_made_up_for_by_another(self): self.assertEqual(cost(counts(A=520.0, SRV=1000.0))[0], 1)

    def test_less_passes_and_asks_to_be_kept(self):
        status, said, _ = cost(counts(A=400.0))
        self.assertEqual(status, 0)
        self.assertIn("keeps the gain", said)

    def test_new_kind_fails(self): self.assertEqual(cost(counts(PTR=1.0))[0], 1)

    def test_lost_kind_fails(self):
        now = counts()
        del now["instructions"]["A"]
        self.assertEqual(cost(now)[0], 1)

    def test_another_compiler_is_said_and_judged_alike(self):
        now = counts("made_with", rustc="rustc 1.96.0")
        status, said, _ = cost(now)
        self.assertEqual(status, 0)
        self.assertIn("rustc 1.95.0, this is rustc 1.96.0", said)
        now["instructions"]["A"] = 520.0
        self.assertEqual(cost(now)[0], 1)

    def test_another_machine_is_not_judged(self): self.assertEqual(cost(dict(counts("made_with", machine="aarch64"), instructions={"A": 1e6}))[0], 0)

    def test_accepted_counts_are_the_baseline(self):
        now = counts(A=600.0)
        status, _, baseline = cost(now, "--accept")
        self.assertEqual((status, baseline), (0, now))


if __name__ == "__main__": unittest.main()
