#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logs beside evidence, end to end: what runs in the guest makes sessions renew on the
live connection, and the relying party appraises it; peers that give no log, another, or
one without end.

The kernel's measurements are the simulator's, all else is what is installed.
"""

import hashlib
import pathlib
import re
import subprocess
import sys
import unittest

for folder in "system", "lib":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import private_guest  # noqa: E402

private_guest.enter()

try:
    from test_exchange import Exchange, Program  # noqa: E402
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

PAYROLL, REPORT, MINER = "/usr/bin/payroll", "/usr/bin/report", "/tmp/miner"


def content(path):
    return f"the program {path}".encode()


def allow(path):
    return f"ima allow sha256:{hashlib.sha256(content(path)).hexdigest()} {path}\n"


class Logs(Exchange):
    guest_options = {"ima": True}
    settings = "[Ima]\nRoot=claimed\nInterval=100\n"

    def configure(self):
        (self.guest.configuration / "attestd.conf").write_text(self.settings)
        self.run_in_guest(PAYROLL)
        self.rules = self.write_policy(
            "rules", f"{self.guest.boot()}ima root claimed\n{allow(PAYROLL)}{allow(REPORT)}")
        self.known = ["--ca", str(self.pki.ca_file), "--name", "client.test"]
        self.client_leaf = self.pki.leaf("client.test")

    def run_in_guest(self, path):
        self.guest.ima.measure(path, content(path))

    def giver(self, *arguments, **options):
        """A server that gives its logs to client.test."""
        return self.server("--verbose", "--give", "--give-logs", *self.known, *arguments, **options)

    def taker(self, server, *arguments):
        """A client whose policy needs them, and that has its first answer."""
        return self.talk(server, *self.client_leaf, *arguments, policy=self.rules)

    def refuses(self, server, reason, *arguments):
        return self.refused(server, reason, *self.client_leaf, *arguments, policy=self.rules)


class Renewed(Logs):
    def test_a_program_that_runs_renews_the_session(self):
        server = self.giver()
        client = self.taker(server)
        self.assertTrue(any(re.match(rf"ran {PAYROLL} .*: allowed", line) for line in client.seen), client.seen)
        self.run_in_guest(REPORT)
        server.until("server: sends stale")
        client.say("second")
        for step in ("received stale", "sends request", "received authenticator", "sends log request",
                     "received log entries", "sends accepted", "second"):
            client.until(step)
        rest = client.end()
        self.assertRegex(rest, rf"(?m)^ran {REPORT} .*: allowed$")
        self.assertNotIn(PAYROLL, rest)  # what it was told of before

    def test_an_unknown_program_ends_the_connection(self):
        server = self.giver()
        client = self.taker(server)
        self.run_in_guest(MINER)
        server.until("server: sends stale")
        client.say("second")
        rest = client.end(status=1)
        self.assertRegex(rest, rf"(?m)^ran {MINER} .*: unknown$")
        self.assertRegex(rest, rf"(?m)^refused: ima: .*{MINER}")
        self.assertNotRegex(rest, "(?m)^second$")
        self.assertIn(f"{MINER}", server.until("ended: "))

    def test_a_violation_ends_the_connection(self):
        server = self.giver()
        client = self.taker(server)
        self.guest.ima.violation(PAYROLL)
        server.until("server: sends stale")
        client.say("second")
        self.assertRegex(client.end(status=1), r"(?m)^refused: ima: .*violation")

    def test_a_client_that_attests_is_renewed_too(self):
        server = self.server("--verbose", *self.known, "--policy-file", self.rules)
        argv = [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}", "--ca",
                str(self.pki.ca_file), "--name", "server.test", "--verbose", "--watch", "--give", "--give-logs",
                *self.client_leaf]
        client = Program(self.guest, argv, stdin=subprocess.PIPE)
        client.until("accepted")
        client.say("first")
        client.until("first")
        self.run_in_guest(REPORT)
        client.until("received accepted")
        client.say("second")
        client.until("second")
        server.until(f"ran {REPORT} ")
        client.end()

    def test_both_ends_are_renewed_at_once(self):
        server = self.giver("--policy-file", self.rules)
        client = self.taker(server, "--give", "--give-logs")
        self.run_in_guest(REPORT)  # one guest: both have changed
        server.until("server: sends stale")
        client.say("second")
        client.until("received accepted")
        client.until("second")
        self.assertRegex(client.end(), rf"(?m)^ran {REPORT} ")
        server.until(f"ran {REPORT} ")

    def test_sc16d_an_attestd_that_restarts_goes_on_in_the_log(self):
        server = self.giver("--patience", "20000")
        client = self.taker(server)
        self.service.stop()
        self.run_in_guest(REPORT)
        self.service = self.guest.start_attestd()
        client.say("second")
        client.until("sends log request")
        client.until("received log entries")
        client.until("second")
        rest = client.end()
        self.assertRegex(rest, rf"(?m)^ran {REPORT} ")
        self.assertNotIn(PAYROLL, rest)

    def test_a_verifier_that_restarts_is_given_the_whole_log(self):
        server = self.giver()
        client = self.taker(server)
        verifier = next(p for p in self.guest.processes if p.name == "attestd-verifier")
        verifier.stop()
        self.guest.start_verifier()
        self.run_in_guest(REPORT)
        server.until("server: sends stale")
        client.say("second")
        client.until("second")
        rest = client.end()
        self.assertRegex(rest, rf"(?m)^ran {PAYROLL} ")
        self.assertRegex(rest, rf"(?m)^ran {REPORT} ")


class Large(Logs):
    def configure(self):
        super().configure()
        self.guest.ima.bulk(20000)
        self.rules = self.write_policy("rules", f"{self.guest.boot()}ima root claimed\n")

    def test_a_large_log_comes_in_pieces(self):
        server = self.giver()
        client = self.taker(server)
        said = "".join(client.seen)
        pieces = [int(n) for n in re.findall(r"received log entries, (\d+) bytes", said)]
        self.assertGreaterEqual(len(pieces), 3, said)
        self.assertLessEqual(max(pieces), 1 << 20)
        self.assertEqual(said.count("sends log request"), len(pieces))
        self.assertGreater(sum(pieces), len(self.guest.ima.log()))
        client.end()


class NotGiven(Logs):
    def test_a_server_gives_no_logs_unless_it_is_told_to(self):
        server = self.server("--give", *self.known)
        self.refuses(server, "the peer gave no log ima: logs are not given")
        self.accepted(server, *self.client_leaf)  # to whom that is enough

    def test_a_stranger_is_given_evidence_and_no_logs(self):
        server = self.server("--give-to-anyone", "--give-logs")
        self.refused(server, "the peer gave no log ima: logs are not given", policy=self.rules)
        self.accepted(server)

    def test_a_program_that_may_not_read_logs_says_so_at_home(self):
        self.guest.polkit.verdicts["org.attestd.Attester1.get-log"] = "deny"
        for path in self.leaf[1], self.leaf[3], str(self.pki.ca_file):
            pathlib.Path(path).chmod(0o644)
        server = self.giver(user="nobody")
        self.refuses(server, "the peer gave no log ima: the log cannot be had")
        self.assertIn("org.attestd.Error.NotAuthorized", server.until("ended: "))
        self.guest.polkit.verdicts.clear()
        client = self.taker(server)
        client.end()

    def test_sc16f_a_log_that_lost_its_head_is_said(self):
        self.guest.ima.trim(1)
        self.run_in_guest(REPORT)
        server = self.giver()
        self.refuses(server, "ima-root: .*|ima-log: .*")


class Hostile(Logs):
    def test_logs_that_are_no_answer_close_the_connection(self):
        for mode, reason in {
            "log-unasked": "the frame log entries is not allowed now",
            "log-wrong": "log entries that were not asked for",
            "log-endless": "too much of the log|ima-log: ",
            "log-crumbs": "nothing, and more to come",
            "log-after": "the frame log entries is not allowed now|ima-log: ",
            "log-rewritten": "ima-log: ",
            "log-garbled": "ima-log: ",
        }.items():
            with self.subTest(mode):
                server = self.hostile(mode)
                self.refuses(server, reason)
                server.process.stop(expect=None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
