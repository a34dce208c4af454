#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions under change: the bus, attestd or attestd-verifier goes, in order or by
kill -9, while applications depend on it.

What must hold: nothing hangs, every failure has a name, no evidence is taken that is
not of its own request, connection and state, and the next request is served.

ATTESTD_TEST_LONG=yes kills each service 200 times instead of 10;
ATTESTD_TEST_SEED=N does it again as it was done under that seed.
"""

import hashlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

for folder in "system", "bus", "lib", "protocol":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import private_guest  # noqa: E402

private_guest.enter()

try:
    import attester1_client as client  # noqa: E402
    from gi.repository import GLib  # noqa: E402
    from private_guest import wait_until  # noqa: E402
    from second import appraise, handshake  # noqa: E402
    from test_exchange import POLICY, Exchange, Pki, Program  # noqa: E402
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

KILLS = 200 if os.environ.get("ATTESTD_TEST_LONG") else 10
SEED = int(os.environ.get("ATTESTD_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
STATE = pathlib.Path("/run/attestd/state")


def r_of(claims):
    return hashlib.sha512(b"attestd evidence/1\0" + claims).digest()


def setUpModule():
    signal.alarm(6 * KILLS + 600)  # to hang is one of the ways to fail


class Live(Exchange):
    """A client that talks to a server, while what both depend on goes."""

    def end_with_the_bus(self):
        """The bus is killed; both services say so and end, as their units are told."""
        services = [p for p in self.guest.processes if p.name in private_guest.SERVICES and p.is_running()]
        self.assertEqual(len(services), 2)
        self.guest.stop_bus()
        for service in services:
            self.assertEqual(service.wait(), 1)
            self.assertIn("the bus is gone", service.log())

    def begin_again(self):
        self.guest.start_bus()
        self.service = self.guest.start_attestd()
        self.guest.start_verifier()

    def test_the_bus_goes_and_comes_back(self):
        server = self.server("--verbose", "--patience", "20000")
        client_ = self.talk(server, "--patience", "20000")
        reports = len(self.tee.reports())
        self.end_with_the_bus()
        server.until("server: sends stale")
        client_.say("second")
        client_.until("received stale")  # and waits: the gate is closed, and nobody can open it
        self.begin_again()
        for step in "sends request", "received authenticator", "sends accepted", "received data", "second":
            client_.until(step)
        client_.end()
        self.assertEqual(len(self.tee.reports()), reports + 1)

    def test_a_bus_that_stays_away_ends_the_connection(self):
        server = self.server("--verbose", "--patience", "0")
        client_ = self.talk(server, "--patience", "0")
        self.end_with_the_bus()
        server.until("server: sends stale")
        client_.say("second")
        rest = client_.end(status=1)
        self.assertRegex(rest, r"(?m)^refused: attestd-verifier: ")
        self.assertNotIn("second", rest)
        self.begin_again()
        self.accepted(server)

    def test_an_attestd_that_crashes_is_another_instance_on_the_same_connection(self):
        server = self.server("--verbose", "--patience", "20000")
        client_ = self.talk(server)
        bus = client.Bus(self.guest)
        before = {name: bus.get(name) for name in ("BootId", "InstanceId", "Generation")}
        self.service.kill()
        server.until("server: sends stale")
        client_.say("second")
        client_.until("received stale")
        self.service = self.guest.start_attestd()
        client_.until("sends accepted")
        client_.until("second")
        client_.end()
        after = {name: bus.get(name) for name in before}
        self.assertEqual(after["BootId"], before["BootId"])
        self.assertNotEqual(after["InstanceId"], before["InstanceId"])
        self.assertGreater(after["Generation"], before["Generation"])
        self.assertIn("has ended without being stopped, at generation 1; its sessions are lost", self.service.log())

    def test_sc43_a_verifier_that_is_killed_in_an_appraisal_gives_no_verdict(self):
        server = self.server("--verbose")
        verifier = next(p for p in self.guest.processes if p.name == "attestd-verifier")
        self.tee.hold()
        argv = self.client_argv(server, "--verbose", "--message", "greeting")
        talker = Program(self.guest, argv, stdin=subprocess.PIPE)
        self.tee.wait("held")  # the request is made: from here on the verifier is needed for one thing
        verifier.send(signal.SIGSTOP)
        monitor = Program(self.guest, ["dbus-monitor", "--system", "member='Validate'"], stdin=subprocess.PIPE)
        monitor.until("member=NameLost")  # now it sees all
        self.tee.release()
        monitor.until("member=Validate")
        verifier.kill()
        monitor.process.kill()
        monitor.process.popen.stdin.close()
        rest = talker.end(status=1)
        self.assertRegex(rest, r"(?m)^refused: attestd-verifier: org\.freedesktop\.DBus\.Error\.NoReply")
        self.assertNotIn("sends accepted", rest)
        self.assertNotIn("sends data", "".join(talker.seen))
        self.assertIn("service-unavailable", server.until("ended: "))
        self.guest.start_verifier()
        self.accepted(server)


class LiveKilled(Exchange):
    """One connection, and services that crash again and again; the bus starts the next ones."""

    guest_options = {"activatable": True}
    attestd = verifier = False

    def kill(self, program):
        victim = self.guest.activated(program)
        victim.kill()
        victim.close()

    def test_a_connection_outlives_crashes(self):
        server = self.server("--verbose")
        client_ = self.talk(server)
        for n in range(KILLS):
            reports = self.tee.reports()
            self.kill("attestd-verifier")  # between two verdicts: nobody needs it now
            self.kill("attestd")
            server.until("server: sends stale")
            client_.say(f"line {n}")
            for step in "received stale", "sends request", "received authenticator", "sends accepted", f"line {n}":
                client_.until(step)
            fresh = self.tee.reports()[len(reports):]
            self.assertTrue(fresh)
            self.assertFalse(set(fresh) & set(reports))
        client_.end()


class Stop(private_guest.GuestTest):
    guest_options = {"delay_ms": 150}

    def test_sigterm_answers_all_that_is_in_flight(self):
        """… with Cancelled or with its own evidence; the report under way is waited for."""
        daemon = self.guest.start_attestd()
        callers = [client.Bus(self.guest) for _ in range(4)]
        answers = []
        for bus in callers:
            session = bus.open()
            for _ in range(5):
                bus.ask(session, answers)
        callers[0].get("State")  # by its answer the calls of this one are known to wait
        self.assertTrue(wait_until(lambda: answers))
        self.tee.wait("started", self.tee.stats()["reports"] + 1)
        daemon.stop(seconds=10)
        self.assertTrue(wait_until(lambda: len(answers) == 20))
        evidence = [a for a in answers if isinstance(a, client.Evidence)]
        self.assertTrue(evidence)
        self.assertEqual({a for a in answers if not isinstance(a, client.Evidence)}, {client.ERROR + "Cancelled"})
        for e in evidence:
            self.assertEqual(e.report_data, r_of(e.c))
        self.assertLessEqual({e.report_data for e in evidence}, set(self.tee.reports()))
        self.assertEqual(self.guest.entries(), [])
        self.assertTrue(STATE.read_text().endswith("end stopped\n"))

    def test_the_next_one_follows(self):
        self.guest.start_attestd().stop()
        second = self.guest.start_attestd()
        self.assertEqual(client.Bus(self.guest).get("Generation"), 2)
        self.assertNotIn("without being stopped", second.log())

    def test_a_state_that_is_not_ours_is_named_and_ignored(self):
        self.guest.start_attestd().stop()
        good = STATE.read_text()
        self.assertEqual(STATE.stat().st_mode & 0o7777, 0o600)
        boot = re.search("boot (.*)", good).group(1)
        for text, mode, why in (
            (good[:-9], 0o600, "garbled"),
            ("attestd-state 9\n", 0o600, "not a state file of attestd"),
            (good.replace(boot, boot[::-1]), 0o600, "of another boot"),
            (good.replace("generation 1", "generation 18446744073709551615"), 0o600, "garbled"),
            (good, 0o666, "others can write it"),
        ):
            with self.subTest(why):
                STATE.write_text(text)
                STATE.chmod(mode)
                daemon = self.guest.start_attestd()
                self.assertEqual(client.Bus(self.guest).get("Generation"), 1)
                self.assertRegex(daemon.log(), rf"/run/attestd/state: {why}.*: ignored")
                daemon.stop()
                self.assertEqual(STATE.stat().st_mode & 0o7777, 0o600)
        STATE.write_text(good)
        self.guest.start_attestd()
        self.assertEqual(client.Bus(self.guest).get("Generation"), 2)


class Caller:
    """Asks attestd for evidence, one request after the other, in a new session after each loss."""

    # What a call may come to when who serves it is killed, or is being started.
    LOSS = re.compile(r"org\.freedesktop\.DBus\.Error\.(NoReply|ServiceUnknown|NameHasNoOwner|UnknownObject|Spawn\..*)"
                      r"|org\.attestd\.Error\.(NoSuchSession|DeviceBusy)")

    def __init__(self, guest):
        self.bus = client.Bus(guest)
        self.session, self.is_ended, self.waits = None, False, False
        self.good, self.wrong, self.losses = [], [], {}
        self.go_on()

    def go_on(self):
        if self.is_ended:
            return
        self.waits = True
        if not self.session:
            parameters = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
            self.call(client.PATH, client.NAME, "OpenSession", GLib.Variant("(a{sv})", (parameters,)), self.opened)
            return
        exported, context = os.urandom(32), os.urandom(32)
        asked_at = time.monotonic()
        self.call(self.session, client.SESSION, "Attest", self.bus.arguments(context, exported),
                  lambda evidence, info: self.attested(asked_at, exported, client.Evidence(evidence, info)))

    def call(self, path, interface, method, arguments, answered):
        def done(bus, result):
            self.waits = False
            try:
                answered(*bus.call_finish(result).unpack())
            except GLib.Error as e:
                self.lost(self.bus.Gio.DBusError.get_remote_error(e) or e.message)
            self.go_on()

        self.bus.bus.call(client.NAME, path, interface, method, arguments, None, self.bus.Gio.DBusCallFlags.NONE,
                          private_guest.DEADLINE * 1000, None, done)

    def opened(self, session):
        self.session = session

    def attested(self, asked_at, exported, evidence):
        """The witness: this is the answer to this question."""
        binding = hashlib.sha256(client.SPKI + exported).digest()
        if evidence.claims[10] != binding or evidence.report_data != r_of(evidence.c):
            self.wrong.append(evidence)
        self.good.append((asked_at, evidence.report_data, evidence.claims[-78002]))

    def lost(self, name):
        self.session = None
        self.losses[name] = self.losses.get(name, 0) + 1

    def end(self):
        self.is_ended = True
        wait_until(lambda: not self.waits)
        self.bus.leave()


class Witness:
    """tls-witness, and a thread that reads what it says."""

    def __init__(self, guest, leaf, policy):
        argv = [guest.program("tls-witness"), *leaf, "--policy-file", policy]
        self.process = guest.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = []  # (time, line)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.popen.stdout:
            self.lines.append((time.monotonic(), line.decode().rstrip("\n")))
            GLib.MainContext.default().wakeup()

    def of(self, word):
        return [line for line in list(self.lines) if line[1].startswith(word)]

    def end(self):
        self.process.popen.stdin.close()
        status = self.process.wait()
        self.thread.join()
        return status


class Kill(private_guest.GuestTest):
    guest_options = {"delay_ms": 3, "activatable": True}
    # What attestd does on the device for a report.
    CALLS = ("open:generation", "read:generation", "close:generation", "open:inblob", "write:inblob", "close:inblob",
             "open:outblob", "read:outblob", "close:outblob")

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        # So few that sessions which outlive who had them would soon be all.
        (self.guest.configuration / "attestd.conf").write_text("[Limits]\nSessionsPerUser=10\n")
        self.policy = self.guest.directory / "any.policy"
        self.policy.write_text(POLICY.format(trust=self.guest.trust()) + "peer any\n")
        self.witness = Witness(self.guest, Pki(self.guest.directory).leaf("server.test"), str(self.policy))
        self.callers = [Caller(self.guest) for _ in range(4)]
        self.served(0, 1)
        self.fds = len(self.witness.process.fds())

    def served(self, since, count=1):
        """Until every caller and the TLS pair were served with what they asked for after `since`."""
        self.assertTrue(wait_until(lambda: all(sum(at >= since for at, *_ in c.good) >= count for c in self.callers)
                                   and sum(at >= since for at, _ in self.witness.of("accepted")) > count),
                        self.what_happened)
        return time.monotonic() - since

    @property
    def what_happened(self):
        return {"lines": self.witness.lines[-20:], "losses": [c.losses for c in self.callers]}

    def rest(self):
        """A random while: this is what the test is about, and not a wait for anything."""
        state = {"over": False}
        timer = GLib.timeout_source_new(self.random.randrange(60))
        timer.set_callback(lambda *_: state.update(over=True))
        timer.attach(None)
        wait_until(lambda: state["over"])

    def kill(self, program):
        """At a random time, or, of attestd, at a random call of the device. When it was killed."""
        victim = self.guest.activated(program)
        try:
            if program == "attestd" and self.random.random() < 0.5:
                fault = self.tee.fault("kill", self.random.choice(self.CALLS), times=1)
                self.assertTrue(wait_until(lambda: not victim.is_running()))
                self.tee.clear(fault)
            else:
                self.rest()
                victim.kill()
            return time.monotonic()
        finally:
            victim.close()

    def run_kills(self, program):
        taken = []
        for _ in range(KILLS):
            taken.append(self.served(self.kill(program)))
        taken.sort()
        print(f"seed {SEED}: {program} killed {KILLS} times, the next request of everybody served after "
              f"{taken[len(taken) // 2] * 1000:.0f} ms (median), {taken[-1] * 1000:.0f} ms (longest)", file=sys.stderr)
        self.check()

    def check(self):
        # Nothing is left of connections that went, at the application's end,
        fds = len(self.witness.process.fds())
        self.assertLessEqual(abs(fds - self.fds), 8, self.witness.process.fds())  # one connection's worth
        for caller in self.callers:
            caller.end()
        self.assertEqual(self.witness.end(), 0)
        # … and at the services': who has served is as one that has served nobody.
        for program in private_guest.SERVICES:
            self.check_idle(program)
        self.assertLessEqual(len(self.guest.entries()), 1)

        reports = self.tee.reports()
        self.assertEqual(len(set(reports)), len(reports))  # none was signed for two
        for caller in self.callers:
            self.assertEqual(caller.wrong, [])
            self.assertLessEqual({r for _, r, _ in caller.good}, set(reports))
            for name in caller.losses:
                self.assertRegex(name, caller.LOSS)
            self.check_generations(caller)
        self.check_tls(set(reports))

    def check_idle(self, program):
        served = self.guest.activated(program)
        self.assertTrue(wait_until(lambda: len(served.fds()) <= 16), served.fds())
        before = served.fds()
        served.kill()
        served.close()
        fresh = self.guest.activated(program)
        if program == "attestd":
            bus = client.Bus(self.guest)
            session = bus.open()
            bus.attest(session)
            bus.close(session)
            bus.leave()
        self.assertTrue(wait_until(lambda: len(fresh.fds()) == len(before)), (before, fresh.fds()))
        fresh.close()

    def check_generations(self, caller):
        """Of one boot, never back; a new instance each time that one was killed."""
        seen = [tuple(state) for _, _, state in caller.good]
        self.assertEqual(len({boot for boot, _, _ in seen}), 1)
        self.assertEqual([g for _, _, g in seen], sorted(g for _, _, g in seen))
        self.assertEqual(len({i for _, i, _ in seen}), len({g for _, _, g in seen}))

    def check_tls(self, reports):
        """A second verifier has the last word on what the first one took, and may not differ."""
        self.assertEqual(self.witness.of("CROSSED"), [])
        self.assertEqual(self.witness.of("refused"), [])
        for _, line in self.witness.of("crossed"):
            self.assertRegex(line, "^crossed authenticator: context-mismatch: ")
        for _, line in self.witness.of("failed"):
            self.assertRegex(line, r"^failed (request|answer|validate) attestd(-verifier)?: ")
            self.assertRegex(line, f"({Caller.LOSS.pattern}|lost|clos)")
        self.assertTrue(self.witness.of("crossed"))

        accepted = [line.split() for _, line in self.witness.of("accepted")]
        policy, now = self.policy.read_bytes(), int(time.time())
        for _, hash_name, *fields in accepted:
            exported, request, context, key, authenticator = map(bytes.fromhex, fields)
            connection = appraise.Connection(hash_name, context, key, exported, 1, request)
            result = appraise.appraise_authenticator(authenticator, connection, appraise.Expected(now, policy))
            self.assertTrue(result.accepted, (result.failed, result.checks))
            self.assertIn(result.quote.body["report_data"], reports)
        requests = [handshake.request(bytes.fromhex(fields[3])).context for fields in accepted]
        self.assertEqual(len(set(requests)), len(requests))

    def test_attestd_is_killed_at_random_points(self):
        self.run_kills("attestd")

    def test_sc43_the_verifier_is_killed_at_random_points(self):
        self.run_kills("attestd-verifier")


if __name__ == "__main__":
    unittest.main(verbosity=2)
