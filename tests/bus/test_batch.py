#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Callers who share a report, and answers in two pieces."""

import fcntl
import hashlib
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import attester1_client as client  # noqa: E402
from attester1_client import NAME, SESSION, AttesterTest, Bus, Direct, private_guest, r_of, wait_until  # noqa: E402

private_guest.enter()

import test_direct  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(claims, n, index, path):
    """RFC 9162 section 2.1.3.2, by its own words."""
    fn, sn, r = index, n - 1, sha256(b"\0", claims)
    for p in path:
        assert sn > 0
        if fn & 1 or fn == sn:
            r = sha256(b"\1", p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


def proof_of(evidence):
    import cbor2

    return cbor2.loads(evidence.collection["proof"][1]) if "proof" in evidence.collection else None


def report_data_of(evidence):
    proof = proof_of(evidence)
    if not proof:
        return r_of(evidence.c)
    n, index, path = proof
    return hashlib.sha512(b"attestd batch/1\0" + n.to_bytes(8, "big") + root_of(evidence.c, n, index, path)).digest()


class BatchTest(AttesterTest):
    def occupy(self):
        """The device is under way with a request of its own; its answer."""
        answers = []
        self.tee.hold()
        self.root.ask(self.root.open(), answers, batch=True)
        self.tee.wait("held")
        return answers

    def check(self, evidence):
        self.assertIsInstance(evidence, client.Evidence)
        self.assertEqual(evidence.report_data, report_data_of(evidence))
        self.assertIn(evidence.report_data, self.tee.reports())
        self.assertEqual(evidence.info["batch"], (proof_of(evidence) or [1])[0])


class Batches(BatchTest):
    def test_who_waits_shares_the_next_report(self):
        first = self.occupy()
        answers = [[] for _ in range(20)]
        for i, answer in enumerate(answers):
            self.root.ask(self.root.open(), answer, batch=i % 5 != 0, exported=bytes([i]) * 32)
        self.tee.release()
        self.assertTrue(wait_until(lambda: first and all(answers)))
        for answer in first + [a[0] for a in answers]:
            self.check(answer)
        self.assertIsNone(proof_of(first[0]))  # it was alone
        batch = [a[0] for i, a in enumerate(answers) if i % 5]
        self.assertEqual([proof_of(e)[:2] for e in batch], [[16, i] for i in range(16)])
        self.assertEqual(len({e.report_data for e in batch}), 1)
        self.assertEqual([proof_of(a[0]) for a in answers[::5]], [None] * 4)
        self.assertEqual(self.tee.stats()["reports"], 1 + 1 + 4)
        self.assertTrue(self.logged("a batch of 16:", "16 of uid 0"))

    def test_a_device_that_dies_in_a_batch_is_told_to_all_and_tried_again(self):
        for number, (fault, error) in enumerate((
            (("reportdata", "bit"), "BadData"), (("errno", "read:outblob", "EIO"), "Failed"),
            (("vanish", "return"), "DeviceLost"),
        )):
            with self.subTest(fault):
                first = self.occupy()
                session, answers = self.root.open(), []
                for i in range(8):
                    self.root.ask(session, answers, batch=True, context=bytes([number, i]))
                self.root.get("State")  # by its answer all are known to wait
                self.tee.fault(*fault)
                self.tee.release()
                # At once: long before they would have been told that it takes too long.
                self.assertTrue(wait_until(lambda: first and len(answers) == 8, 10))
                self.assertEqual(set(answers), {client.ERROR + error})
                self.tee.clear()
                # It is free again, and so are the contexts.
                self.check(self.root.attest(session, batch=True, context=bytes([number, 0])))

    def test_callers_who_leave_cost_the_others_nothing(self):
        first = self.occupy()
        other = Bus(self.guest)
        kept, gone = [], []
        for i in range(6):
            self.root.ask(self.root.open(), kept, batch=True)
            other.ask(other.open(), gone, batch=True)
        closed = self.root.open()
        self.root.ask(closed, gone, batch=True)
        other.leave()
        self.root.close(closed)
        self.root.close(self.root.open())
        self.tee.release()
        self.assertTrue(wait_until(lambda: first and len(kept) == 6))
        for e in kept:
            self.check(e)


class Split(BatchTest):
    """Evidence without what all of its report have in common, which is sent once."""

    guest_options = {"wrapper": client.UNPRIVILEGED, "direct": True}

    def setUp(self):
        super().setUp()
        self.direct = Direct(self.guest)

    def ask_split(self, answers, bus=None, session=None, **options):
        bus = bus or self.direct
        session = session or bus.open()

        def done(connection, result):
            answer, fds = connection.call_with_unix_fd_list_finish(result)
            (evidence, info), shared = answer.unpack(), None
            if "shared_fd" in info:
                with open(fds.get(info["shared_fd"]), "rb") as f:
                    self.assertEqual(os.lseek(f.fileno(), 0, os.SEEK_CUR), 0)
                    self.assertEqual(fcntl.fcntl(f.fileno(), fcntl.F_GET_SEALS), fcntl.F_SEAL_SEAL |
                                     fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
                    shared = f.read()
            answers.append((bytes(evidence), info, shared))

        bus.bus.call_with_unix_fd_list(
            NAME, session, SESSION, "Attest", bus.arguments(split=True, **options), None, Gio.DBusCallFlags.NONE,
            60000, None, None, done)

    def attest_split(self, *args, **options):
        answers = []
        self.ask_split(answers, *args, **options)
        self.assertTrue(wait_until(lambda: answers))
        return answers[0]

    def join(self, answer, first):
        """@first: the answer that brought the shared piece"""
        shared = first[2]
        evidence, info, _ = answer
        self.assertEqual(info["shared_size"], len(shared))
        at = info["shared_at"]
        if answer[2] is None:
            self.assertEqual(set(info), {"shared", "shared_at", "shared_size"})
            info = first[1] | info
        return client.Evidence(evidence[:at] + shared + evidence[at:], info)

    def test_both_pieces_are_the_plain_answer_to_the_byte(self):
        import cbor2

        session = self.direct.open()
        for options in {}, {"batch": True}, {"max_size": 65529}:
            answer = self.attest_split(session=session, **options)
            e = self.join(answer, answer)
            self.check(e)
            # Deterministic: the one encoding of what is in it.
            self.assertEqual(cbor2.dumps(e.collection, canonical=True), e.bytes)
            self.assertEqual(list(e.collection)[0], "tee")
        self.assertNotIn("shared", self.direct.attest(session).info)
        self.assertNotIn("shared", self.direct.attest(session, split=False).info)

    def test_on_a_bus_it_comes_in_one_piece(self):
        e = self.root.attest(self.root.open(), split=True)
        self.check(e)
        self.assertNotIn("shared", e.info)
        self.assertIn("tee", e.collection)

    def test_a_report_goes_once_to_each_connection(self):
        other = Direct(self.guest)
        first = self.occupy()
        answers, others = [], []
        for _ in range(10):
            self.ask_split(answers, batch=True)
            self.ask_split(others, bus=other, batch=True)
        whole = []
        self.direct.ask(self.direct.open(), whole, batch=True)
        self.direct.get("State")
        other.get("State")
        self.tee.release()
        self.assertTrue(wait_until(lambda: first and len(answers) == 10 and len(others) == 10 and whole))
        for group in answers, others:
            self.assertEqual([a[2] is not None for a in group], [True] + [False] * 9)
            self.assertEqual(len({a[1]["shared"] for a in group}), 1)
            for a in group:
                self.check(self.join(a, group[0]))
                self.assertLess(len(a[0]), 2000)
        self.assertEqual(answers[0][1]["shared"], others[0][1]["shared"])
        self.assertEqual(answers[0][2], others[0][2])
        self.check(whole[0])
        self.assertIn(answers[0][2], whole[0].bytes)

    def test_no_two_reports_have_one_number(self):
        session = self.direct.open()
        seen = []
        for _ in range(6):
            answer = self.attest_split(session=session)
            self.assertIsNotNone(answer[2])
            self.assertGreater(answer[1]["shared"], max(seen, default=0))
            seen.append(answer[1]["shared"])

    def open_descriptors(self):
        self.direct.get("State")  # by its answer the message with the one before is gone, there too
        return [f for f in self.daemon.fds() if "/tsm/report" not in f]  # those of the device's thread

    def test_descriptors_do_not_stay_behind(self):
        session = self.direct.open()
        self.attest_split(session=session)
        before = len(self.open_descriptors())
        for _ in range(50):
            self.attest_split(session=session)
            self.assertLessEqual(len(self.open_descriptors()), before + 1)
        while any("attestd-evidence" in f for f in self.open_descriptors()):  # without anybody asking for more
            pass

    def test_a_user_has_so_many_descriptors_unread(self):
        body = GLib.Variant("(a{sv})", ({k: GLib.Variant("s", v) for k, v in (("role", "server"), ("hash", "sha256"))},))
        mute, each = [], 4
        for n in range(20):
            raw = test_direct.Raw(self, takes_fds=True)
            raw.send(test_direct.blob(interface=NAME, member="OpenSession", body=body))
            session = raw.message().get_body().unpack()[0]
            for serial in range(each):
                raw.send(test_direct.blob(path=session, interface=SESSION, member="Attest", serial=serial + 2,
                                          body=self.root.arguments(split=True)))
            self.tee.wait("reports", each * (n + 1))
            mute.append(raw)
        session = self.direct.open()
        answer = self.attest_split(session=session)
        infos = []
        for raw in mute:
            for _ in range(each):
                while (message := raw.message()).get_message_type() != Gio.DBusMessageType.METHOD_RETURN:
                    pass  # a signal
                infos.append(message.get_body().unpack()[1])
        self.assertEqual(len([info for info in infos if "shared_fd" in info]), 64)
        self.assertNotIn("shared", answer[1])
        self.check(client.Evidence(*answer[:2]))
        self.assertTrue(wait_until(lambda: "shared" in self.attest_split(session=session)[1]))  # now they are read

    def test_both_pieces_have_to_fit(self):
        session = self.direct.open()
        size = len(self.direct.attest(session).bytes)
        with self.refused("TooLarge"):
            self.direct.attest(session, split=True, max_size=size - 1)
        self.attest_split(session=session, max_size=size)


class Mute(BatchTest):
    """A client of the system bus that asks and does not read."""

    REPORTS = 80  # dbus-daemon reads no more of who has 64 descriptors on their way

    def test_it_keeps_nobody_from_anything(self):
        raw = test_direct.RawOnBus(self)
        parameters = {"role": "server", "hash": "sha256"}
        raw.ask(client.PATH, NAME, "OpenSession",
                GLib.Variant("(a{sv})", ({k: GLib.Variant("s", v) for k, v in parameters.items()},)))
        session = raw.reply().get_body().unpack()[0]
        raw.stop_reading()
        first = raw.serial + 1
        for n in range(self.REPORTS):
            raw.ask(session, SESSION, "Attest", self.root.arguments(split=True))
            self.tee.wait("reports", n + 1)
            self.root.get("State")
        self.check(self.root.attest(self.root.open()))
        for serial in range(first, first + self.REPORTS):
            self.check(client.Evidence(*raw.reply(serial).get_body().unpack()))


class Cost(BatchTest):
    """What a session takes of the service."""

    guest_options = {"wrapper": client.UNPRIVILEGED, "direct": True}
    configuration = "[Limits]\nSessions=20000\nSessionsPerUser=10000\nSessionsPerConnection=10000\n"
    SESSIONS = 4000

    def test_a_session_takes_2_kib_at_most(self):
        raw = test_direct.Raw(self)
        body = GLib.Variant("(a{sv})", ({k: GLib.Variant("s", v) for k, v in (("role", "server"), ("hash", "sha256"))},))
        self.check(self.root.attest(self.root.open()))  # what all have in common is there
        before = self.daemon.rss_kib()
        for n in range(self.SESSIONS):
            raw.send(test_direct.blob(interface=NAME, member="OpenSession", body=body, serial=n + 1))
            if n % 100 == 99:
                sessions = [raw.message().get_body().unpack()[0] for _ in range(100)]
        if not private_guest.is_sanitized(self.daemon.pid):
            self.assertLessEqual(self.daemon.rss_kib() - before, 2 * self.SESSIONS)
        raw.send(test_direct.blob(path=sessions[-1], interface=SESSION, member="Attest", serial=50000,
                                  body=self.root.arguments()))
        self.check(client.Evidence(*raw.message().get_body().unpack()))


class Unread(BatchTest):
    """A client of the direct socket that asks and does not read."""

    guest_options = {"wrapper": client.UNPRIVILEGED, "direct": True}
    SESSIONS, EACH = 16, 8

    def ask_unread(self, **options):
        raw = test_direct.Raw(self)
        parameters = {"role": "server", "hash": "sha256"}
        first = self.occupy()
        for n in range(self.SESSIONS):
            body = GLib.Variant("(a{sv})", ({k: GLib.Variant("s", v) for k, v in parameters.items()},))
            raw.send(test_direct.blob(interface=NAME, member="OpenSession", body=body, serial=n + 1))
        sessions = [raw.message().get_body().unpack()[0] for _ in range(self.SESSIONS)]
        for n in range(self.SESSIONS * self.EACH):
            raw.send(test_direct.blob(path=sessions[n // self.EACH], interface=SESSION, member="Attest", serial=n + 100,
                                      body=self.root.arguments(batch=True, **options)))
        raw.send(test_direct.blob(serial=50000))
        self.assertEqual(raw.message().get_reply_serial(), 50000)  # by now it has read all of them
        self.tee.release()
        self.assertTrue(wait_until(lambda: first))
        return raw

    def take_all(self, raw):
        evidence, errors = [], []
        while len(evidence) + len(errors) < self.SESSIONS * self.EACH:
            message = raw.message()
            if message.get_message_type() == Gio.DBusMessageType.METHOD_RETURN:
                evidence.append(client.Evidence(*message.get_body().unpack()))
            elif message.get_message_type() == Gio.DBusMessageType.ERROR:
                errors.append((message.get_error_name(), message.get_body().unpack()[0]))
        return evidence, errors

    def test_it_loses_nothing_when_it_reads_in_time(self):
        raw = self.ask_unread(timeout_ms=60000)
        self.check(self.root.attest(self.root.open(), batch=True))  # and keeps nobody from anything
        evidence, errors = self.take_all(raw)
        self.assertEqual(errors, [])
        self.assertEqual(sorted(proof_of(e)[1] for e in evidence), list(range(self.SESSIONS * self.EACH)))
        for e in evidence[::20]:
            self.check(e)

    def test_what_it_does_not_read_in_time_is_not_sent(self):
        raw = self.ask_unread(timeout_ms=1500)
        other = self.root.open()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            self.root.attest(other, batch=True)
        evidence, errors = self.take_all(raw)
        self.assertLess(len(evidence), self.SESSIONS * self.EACH * 3 // 4)  # what a socket and a short queue hold
        self.assertEqual({name for name, _ in errors}, {client.ERROR + "TimedOut"})
        self.assertIn("not read", errors[0][1])


if __name__ == "__main__":
    unittest.main()
