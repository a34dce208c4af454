#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestd-verifier on a bus of its own, as its own user, under the project's bus policy. The peer is
played here: RFC 9261 and the claims by other code than the verifier's, quotes by tdx-forge."""

import bz2
import datetime
import fcntl
import gzip
import hashlib
import hmac
import json
import lzma
import os
import pathlib
import pwd
import re
import struct
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as ET
import zlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests/system"), str(SOURCE / "tests/ea")]

import private_guest  # noqa: E402

private_guest.enter()

import cbor2  # noqa: E402
import second_authenticator as ea  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402

NAME = "org.attestd.Verifier1"
PATH = "/org/attestd/Verifier1"
SESSION = NAME + ".Session"
ERROR = "org.attestd.Error."
EVIDENCE = "tag:attestd.org,2026:evidence/1"
EXPAT_PAD = "tag:attestd.org,2026:expat-pad/1"
CODE_POINT = 0xFF00
MRTD = hashlib.sha384(b"test mrtd").hexdigest()


class Identity:
    def __init__(self, name="server.example"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.der = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        )
        self.spki = ea.spki_of(self.der)


class Wire:
    """A TLS connection, as its two ends know it."""

    def __init__(self, hash="sha256", role="server"):
        self.hash, self.role, self.secret = hash, role, os.urandom(32)
        size = hashlib.new(hash).digest_size
        self.keys = ea.Keys(hash, role, os.urandom(size), os.urandom(size))

    def exported(self, context):
        return hmac.new(self.secret, bytes(context), "sha256").digest()

    def digest(self, *parts):
        return hashlib.new(self.hash, b"".join(parts)).digest()


def claims(wire, context, spki, uid=990, unit="payroll.service", role=None):
    return cbor2.dumps(cbor2.CBORTag(601, {
        6: 1800000000,
        10: wire.digest(spki, wire.exported(context)),
        265: EVIDENCE,
        266: {"caller": {"peer": {"uid": uid}, "unit": {"kind": "system", "name": unit}}},
        -78000: [-16 if wire.hash == "sha256" else -43, wire.digest(spki)],
        -78001: ("client", "server").index(role or wire.role),
        -78002: [bytes([0xB0] * 16), bytes([0x1D] * 16), 7],
        -78003: bytes(32),
    }), canonical=True)


def report_data(c):
    return hashlib.sha512(b"attestd evidence/1\0" + c).digest()


def variant(value):
    """A GVariant of the type that the contract has for such a value."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, str):
        return GLib.Variant("s", value)
    if isinstance(value, bytes):  # at once: byte by byte takes minutes for a log
        return GLib.Variant.new_from_bytes(GLib.VariantType("ay"), GLib.Bytes.new(value), True)
    return GLib.Variant("aay", value)


def options(**values):
    return {key: variant(value) for key, value in values.items()}


class Base(private_guest.GuestTest):
    guest_options = {"simulator": False, "polkit": False}

    def setUp(self):
        super().setUp()
        self.policies = self.guest.configuration / "policy.d"
        self.policies.mkdir(parents=True)
        os.chmod(self.guest.configuration, 0o755)
        self.forge_state = self.guest.directory / "forge"
        self.forge_state.mkdir()
        self.forge(bytes(64))
        self.root = (self.forge_state / "root-spki-sha256").read_text().strip()
        self.identity = Identity()
        self.verifier = self.guest.start_verifier("--verbose")
        self.bus = self.guest.connect()

    def tearDown(self):
        if not self.bus.is_closed():
            self.bus.close_sync(None)
        super().tearDown()

    # The peer

    def forge(self, data, *settings):
        return subprocess.check_output([self.guest.program("tdx-forge"), "--state", str(self.forge_state),
                                        "--report-data", data.hex(), *settings])

    def collection(self, c, data=None, *settings, proof=None):
        report = {"provider": "tdx_guest", "outblob": self.forge(data or report_data(c), *settings)}
        members = {
            "__cmwc_t": EVIDENCE,
            "claims": [f'application/eat-ucs+cbor; eat_profile="{EVIDENCE}"', c, 4],
            "tee": ["application/vnd.veraison.tsm-report+cbor", cbor2.dumps(report, canonical=True), 4],
        }
        if proof is not None:
            members["proof"] = ["application/vnd.attestd.inclusion-proof+cbor", cbor2.dumps(proof, canonical=True), 4]
        return cbor2.dumps(members, canonical=True)

    def batched(self, c):
        """These claims at index 2 of a batch of 3: the last, which has no sibling below the root."""
        others = [hashlib.sha256(b"\0" + other).digest() for other in (b"C of a first", b"C of a second")]
        inner = hashlib.sha256(b"\1" + b"".join(others)).digest()
        root = hashlib.sha256(b"\1" + inner + hashlib.sha256(b"\0" + c).digest()).digest()
        data = hashlib.sha512(b"attestd batch/1\0" + struct.pack(">Q", 3) + root).digest()
        return self.collection(c, data, proof=[3, 2, [inner]])

    def answer(self, wire, request, evidence, identity=None):
        identity = identity or self.identity
        return ea.make(wire.keys, request, identity.key, 0x0403, [identity.der], CODE_POINT, evidence)

    def honest_answer(self, wire, request, context, **more):
        return self.answer(wire, request, self.collection(claims(wire, context, self.identity.spki, **more)))

    # The relying party

    def policy(self, *rules):
        return "\n".join(["attestd-policy 1", "tee tdx", "collateral not-required", f"root tdx {self.root}",
                          f"boot mrtd={MRTD}", "workload unit payroll.service uid 990", *rules, ""])

    def open_policy(self, *rules):
        return "\n".join(["attestd-policy 1", "tee tdx", "collateral not-required", f"root tdx {self.root}",
                          "workload any", "peer any", "bare-report allowed", *rules, ""])

    def call(self, path, interface, method, arguments=None, bus=None, timeout=30000):
        return (bus or self.bus).call_sync(NAME, path, interface, method, arguments, None, Gio.DBusCallFlags.NONE,
                                           timeout, None).unpack()

    def open(self, bus=None, **parameters):
        parameters = {"role": "server", "hash": "sha256", "policy_text": self.policy(),
                      "handshake_key": self.identity.spki, **parameters}
        parameters = {key: value for key, value in parameters.items() if value is not None}
        return self.call(PATH, NAME, "OpenSession", GLib.Variant("(a{sv})", (options(**parameters),)), bus)[0]

    def request(self, session, bus=None, **more):
        request, context = self.call(session, SESSION, "CreateRequest", GLib.Variant("(a{sv})", (options(**more),)),
                                     bus)
        return bytes(request), bytes(context)

    def validate(self, session, wire, context, authenticator, bus=None):
        arguments = (authenticator, wire.exported(context),
                     options(handshake_context=wire.keys.context, finished_key=wire.keys.key))
        return self.call(session, SESSION, "Validate", GLib.Variant("(ayaya{sv})", arguments), bus)

    def appraise(self, **values):
        values = {key: value for key, value in values.items() if value is not None}
        return self.call(PATH, NAME, "Appraise", GLib.Variant("(a{sv})", (options(**values),)))

    def exchange(self, session, wire, bus=None):
        request, context = self.request(session, bus)
        return self.validate(session, wire, context, self.honest_answer(wire, request, context), bus)

    # Verdicts

    def assert_error(self, name, function, *arguments, says="", **keywords):
        with self.assertRaises(GLib.Error) as caught:
            function(*arguments, **keywords)
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), name, caught.exception.message)
        self.assertIn(says, caught.exception.message)

    def assert_accepted(self, answer):
        accepted, result = answer
        self.assertTrue(accepted, result["reason"])
        self.assertTrue(result["accepted"])
        self.assertEqual(result["reason"], "")

    def assert_refused(self, answer, check, says=""):
        accepted, result = answer
        self.assertFalse(accepted)
        self.assertFalse(result["accepted"])
        self.assertTrue(result["reason"].startswith(check + ": "), result["reason"])
        self.assertIn(says, result["reason"])
        self.assertIn((check, "failed"), [(name, status) for name, status, _ in result["checks"]])


class Sessions(Base):
    def test_accepts_either_end_with_either_hash(self):
        for role in "client", "server":
            for hash in "sha256", "sha384":
                wire = Wire(hash, role)
                session = self.open(role=role, hash=hash)
                for _ in range(2):
                    self.assert_accepted(self.exchange(session, wire))
                self.call(session, SESSION, "Close")

    def test_the_result_tells_everything(self):
        wire = Wire()
        session = self.open()
        _, result = self.exchange(session, wire)
        self.assertEqual(result["profile"], EVIDENCE)
        self.assertEqual(result["tee"], "tdx")
        self.assertEqual(result["boot_id"], "b0" * 16)
        self.assertEqual(result["instance_id"], "1d" * 16)
        self.assertEqual(result["generation"], 7)
        whole = json.loads(result["json"])
        self.assertTrue(whole["accepted"])
        self.assertEqual([(c["name"], c["status"], c["detail"]) for c in whole["checks"]], result["checks"])
        self.assertEqual(whole["claims"]["caller"]["unit"], "payroll.service")
        self.assertEqual(whole["quote"]["mr_td"], MRTD)
        self.assertNotIn("\n", result["json"])

    def test_sc01_evidence_of_another_session(self):
        a, b = Wire(), Wire()
        session_a, session_b = self.open(), self.open()
        request_a, context_a = self.request(session_a)
        request_b, context_b = self.request(session_b)
        evidence = self.collection(claims(a, context_a, self.identity.spki))
        self.assert_refused(self.validate(session_b, b, context_b, self.answer(b, request_b, evidence)), "binding")
        self.assert_accepted(self.validate(session_a, a, context_a, self.answer(a, request_a, evidence)))

    def test_sc02a_unsigned_copy(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        c = claims(wire, context, self.identity.spki)
        evidence = self.collection(c, data=bytes(64))
        self.assert_refused(self.validate(session, wire, context, self.answer(wire, request, evidence)), "report-data")
        self.assert_accepted(self.exchange(session, wire))

    def test_sc05_own_evidence_comes_back(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        answer = self.honest_answer(wire, request, context, role="client")
        self.assert_refused(self.validate(session, wire, context, answer), "role", "of a client")
        self.assert_accepted(self.exchange(session, wire))

    def test_sc05_a_context_that_the_peer_used_too(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        record = GLib.Variant("(ay)", (context,))
        self.assert_error(ERROR + "ContextUsed", self.call, session, SESSION, "RecordContext", record)
        answer = self.honest_answer(wire, request, context)
        self.assert_refused(self.validate(session, wire, context, answer), "context")
        self.call(session, SESSION, "RecordContext", GLib.Variant("(ay)", (b"theirs",)))
        self.assert_error(ERROR + "ContextUsed", self.call, session, SESSION, "RecordContext",
                          GLib.Variant("(ay)", (b"theirs",)))
        self.assert_accepted(self.exchange(session, wire))

    def test_sc14_contexts_are_new_and_long(self):
        session = self.open()
        seen = {self.request(session)[1] for _ in range(50)}
        self.assertEqual(len(seen), 50)
        self.assertEqual({len(c) for c in seen}, {32})

    def test_requests_are_rfc_9261(self):
        for role, kind in ("server", ea.CLIENT_CERTIFICATE_REQUEST), ("client", ea.CERTIFICATE_REQUEST):
            request, context = self.request(self.open(role=role), cmw_attestation=GLib.Variant("q", 0x1234))
            parsed = ea.parse_request(request)
            self.assertEqual(parsed["kind"], kind)
            self.assertEqual(parsed["context"], context)
            self.assertEqual(parsed["extensions"][0x1234], b"")

    def test_a_request_is_used_up(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        answer = self.honest_answer(wire, request, context)
        self.assert_accepted(self.validate(session, wire, context, answer))
        self.assert_refused(self.validate(session, wire, context, answer), "context", "no request")

    def test_workload_and_profile(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        answer = self.honest_answer(wire, request, context, uid=1000)
        self.assert_refused(self.validate(session, wire, context, answer), "workload")
        self.assert_error(ERROR + "ProfileNotGranted", self.request, session, profile=EXPAT_PAD)

    def test_a_batch_is_taken_if_it_was_offered(self):
        wire, session = Wire(), self.open()
        for offer in {"batch": True}, {}, {"batch": True}, {"batch": False}:
            request, context = self.request(session, **offer)
            evidence = self.batched(claims(wire, context, self.identity.spki))
            answer = self.validate(session, wire, context, self.answer(wire, request, evidence))
            if offer.get("batch"):
                self.assert_accepted(answer)
                self.assertEqual(json.loads(answer[1]["json"])["batch"], {"n": 3, "index": 2})
            else:
                self.assert_refused(answer, "report-data", "batch was not offered")
        request, context = self.request(session, batch=True)
        self.assert_accepted(self.validate(session, wire, context, self.honest_answer(wire, request, context)))
        self.assert_error(ERROR + "InvalidArgument", self.request, session, batch="yes")

    def test_the_peers_name(self):
        wire, stranger = Wire(), Identity("other.example")
        by_name = self.open(handshake_key=None, peer_name="server.example", trust_anchors=[self.identity.der])
        self.assert_accepted(self.exchange(by_name, wire))
        other_name = self.open(handshake_key=None, peer_name="other.example", trust_anchors=[self.identity.der])
        self.assert_refused(self.exchange(other_name, wire), "peer-name")
        other_key = self.open(handshake_key=stranger.spki)
        self.assert_refused(self.exchange(other_key, wire), "peer-name", "handshake")
        nobody = self.open(handshake_key=None)
        self.assert_refused(self.exchange(nobody, wire), "peer-name", "peer any")
        anybody = self.open(handshake_key=None, policy_text=self.policy("peer any"))
        self.assert_accepted(self.exchange(anybody, wire))

    def test_sc40c_nonsense_changes_nothing(self):
        wire, session = Wire(), self.open()
        for nonsense in b"x", os.urandom(1000), bytes(128 * 1024):
            _, context = self.request(session)
            self.assert_refused(self.validate(session, wire, context, nonsense), "authenticator")
            self.assert_accepted(self.exchange(session, wire))


class Owners(Base):
    """A session is its owner's, and goes with him."""

    def test_a_stranger_finds_no_session(self):
        session, stranger = self.open(), self.guest.connect()
        for method, arguments in (("CreateRequest", GLib.Variant("(a{sv})", ({},))), ("Close", None),
                                  ("RecordContext", GLib.Variant("(ay)", (b"x",)))):
            self.assert_error(ERROR + "NoSuchSession", self.call, session, SESSION, method, arguments, stranger)
        self.assert_error(ERROR + "NoSuchSession", self.validate, session, Wire(), b"", b"x", stranger)
        stranger.close_sync(None)
        self.assert_accepted(self.exchange(session, Wire()))

    def test_closed_is_gone_and_its_number_too(self):
        session = self.open()
        self.call(session, SESSION, "Close")
        self.assert_error(ERROR + "NoSuchSession", self.request, session)
        self.assertNotEqual(self.open(), session)

    def open_many(self, bus, count, answers):
        parameters = options(role="server", hash="sha256", policy_text=self.policy("peer any"))
        arguments = GLib.Variant("(a{sv})", (parameters,))

        def done(bus, result):
            try:
                answers.append(bus.call_finish(result).unpack()[0])
            except GLib.Error as e:
                answers.append(Gio.DBusError.get_remote_error(e))

        for _ in range(count):
            bus.call(NAME, PATH, NAME, "OpenSession", arguments, None, Gio.DBusCallFlags.NONE, 30000, None, done)

    def test_a_burst_from_a_new_connection_is_answered(self):
        """None of the calls finds its sender known; all wait for one answer of the bus."""
        bus, answers = self.guest.connect(), []
        self.open_many(bus, 120, answers)
        while len(answers) < 120:
            GLib.MainContext.default().iteration(True)
        self.assertTrue(all(a.startswith(PATH) for a in answers), answers)
        self.assertEqual(len(set(answers)), 120)
        self.call(answers[0], SESSION, "Close", bus=bus)
        self.assert_accepted(self.exchange(answers[1], Wire(), bus))
        bus.close_sync(None)

    def test_leaves_before_it_is_known(self):
        for _ in range(20):
            bus = self.guest.connect()
            self.open_many(bus, 5, [])
            bus.flush_sync(None)
            bus.close_sync(None)
        sessions = [self.open() for _ in range(1024)]
        self.assertEqual(len(set(sessions)), 1024)

    def test_paths_that_are_none(self):
        self.open()
        for end in "0", "01", "+1", " 1", "1/x", "18446744073709551616", "x":
            path = f"{PATH}/session/{end}"
            if GLib.Variant.is_object_path(path):
                self.assert_error(ERROR + "NoSuchSession", self.request, path)

    def test_limits_of_a_user(self):
        leaver, text = self.guest.connect(), self.open_policy()
        for _ in range(10216):
            self.open(leaver, policy_text=text)
        mine = [self.open(policy_text=text) for _ in range(24)]
        self.assert_error(ERROR + "LimitReached", self.open, says="10240")
        # Appraising takes none, another user has his own, closing makes room, and so does leaving.
        self.assert_refused(self.appraise(evidence=b"xx", policy_text=text), "format")
        other = self.as_user("nobody", text)
        self.assertEqual(other.returncode, 0, other.stderr)
        self.call(mine.pop(), SESSION, "Close")
        self.assert_accepted(self.exchange(self.open(), Wire()))
        leaver.close_sync(None)  # the verifier hears of it before it hears of a later call
        for _ in range(100):
            self.open(policy_text=text)


    # Opens sessions for a policy's text, says so, and leaves when its input ends.
    PROGRAM = f"""
import sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
options = {{"role": "server", "hash": "sha256", "policy_text": sys.argv[1]}}
arguments = GLib.Variant("(a{{sv}})", ({{k: GLib.Variant("s", v) for k, v in options.items()}},))
for _ in range(int(sys.argv[2])):
    bus.call_sync("{NAME}", "{PATH}", "{NAME}", "OpenSession", arguments, None, 0, 60000, None)
print("opened", flush=True)
sys.stdin.read()
"""

    def as_user(self, user, text, count=1):
        return self.guest.run([private_guest.PYTHON, "-c", self.PROGRAM, text, str(count)], user=user)

    def test_limit_of_all_users(self):
        text, users = self.open_policy(), []
        names = sorted(entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0)
        for name, count in zip(names, ("10240", "5120")):  # all that each can have
            users.append(self.guest.spawn([private_guest.PYTHON, "-c", self.PROGRAM, text, count], user=name,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            self.assertEqual(users[-1].popen.stdout.readline(), b"opened\n", users[-1].log())
        other = self.as_user(names[1], text)
        self.assertNotEqual(other.returncode, 0)
        self.assertIn("20480", other.stderr)
        self.assert_accepted(self.exchange(self.open(), Wire()))  # there is room for one more
        self.assert_holds_less(200 * 1024)
        for user in users:
            user.popen.stdin.close()
            self.assertEqual(user.wait(), 0)
        self.assert_accepted(self.exchange(self.open(), Wire()))

    def assert_holds_less(self, kib):
        if not private_guest.is_sanitized(self.verifier.pid):
            self.assertLess(self.verifier.rss_kib(), kib)

    def open_until_refused(self, text):
        """How many sessions with a policy of its own each, as long as @text, does a user have room for?"""
        for n in range(1024):
            try:
                self.open(policy_text=f"{text}#{n}")
            except GLib.Error as e:
                self.assertEqual(Gio.DBusError.get_remote_error(e), ERROR + "LimitReached")
                self.assertIn("bytes", e.message)
                return n
        self.fail("there is no limit")

    def test_sc34_limits_of_bytes(self):
        text = self.open_policy("#" * 65000)
        for n in range(300):  # one policy, however many sessions have it
            self.open(policy_text=text)
        self.assertEqual(self.open_until_refused(self.open_policy("#" * 4_190_000)), 63)
        self.assert_holds_less(200 * 1024)

    def test_sc34_what_a_session_keeps_of_a_shared_policy_counts(self):
        text = self.policy("ima root rtmr", *(f"ima require /{n}" for n in range(32000)))
        self.open_until_refused(self.open_policy("#" * 4_100_000))
        with self.assertRaises(GLib.Error) as caught:
            for opened in range(1024):
                self.open(policy_text=text)
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), ERROR + "LimitReached")
        self.assertIn("bytes", caught.exception.message)
        self.assertLess(opened, 40)

    def test_sc34_anchors_are_charged_once(self):
        """What a bundle takes is 40 times its size: not a hundred times that."""
        parameters = options(role="server", hash="sha256", policy_text=self.policy(), peer_name="server.example",
                             trust_anchors=[self.identity.der] * 256)
        arguments = GLib.Variant("(a{sv})", (parameters,))
        sessions = [self.call(PATH, NAME, "OpenSession", arguments)[0] for _ in range(100)]
        for session in sessions[0], sessions[-1]:
            self.assert_accepted(self.exchange(session, Wire()))
        # Another list is another one; the first stays with those who have it.
        other = self.open(handshake_key=None, peer_name="server.example", trust_anchors=[self.identity.der])
        for session in sessions[:-1]:
            self.call(session, SESSION, "Close")
        self.assert_accepted(self.exchange(other, Wire()))
        self.assert_accepted(self.exchange(sessions[-1], Wire()))

    def test_sc34_limits_of_contexts(self):
        """Contexts count too; what fails does not."""
        session = self.open()
        for size in (4_190_000, 400_000, 40_000, 4000):
            self.open_until_refused(self.open_policy("#" * size))
        n = 0
        try:
            while n < 65536:
                self.call(session, SESSION, "RecordContext", GLib.Variant("(ay)", (n.to_bytes(255, "big"),)))
                n += 1
        except GLib.Error as e:
            self.assertEqual(Gio.DBusError.get_remote_error(e), ERROR + "LimitReached")
        self.assertLess(n, 10000)
        for _ in range(10):
            self.assert_error(ERROR + "LimitReached", self.request, session)


class Appraise(Base):
    def test_a_batch_is_taken_if_the_caller_takes_it(self):
        wire = Wire()
        c = claims(wire, b"context", self.identity.spki)
        evidence = self.batched(c)
        bound = {"evidence": evidence, "policy_text": self.policy(), "hash": "sha256", "role": "server",
                 "binding": wire.digest(self.identity.spki, wire.exported(b"context"))}
        self.assert_accepted(self.appraise(**bound, batch=True))
        self.assert_refused(self.appraise(**bound), "report-data", "batch was not offered")
        members = cbor2.loads(evidence)
        members["proof"][1] = cbor2.dumps([3, 3, [bytes(32)]])
        bound["evidence"] = cbor2.dumps(members, canonical=True)
        self.assert_refused(self.appraise(**bound, batch=True), "report-data", "index 3 in a batch of 3")

    def test_a_bare_quote(self):
        data = os.urandom(64)
        quote = self.forge(data)
        text = self.open_policy()
        self.assert_accepted(self.appraise(evidence=quote, report_data=data, policy_text=text))
        self.assert_refused(self.appraise(evidence=quote, report_data=bytes(64), policy_text=text), "report-data")
        self.assert_refused(self.appraise(evidence=quote, policy_text=text), "report-data", "unbound")
        self.assert_refused(self.appraise(evidence=quote, report_data=data, policy_text=self.policy()), "profile",
                            "bare-report allowed")

    def test_a_collection(self):
        wire, context = Wire(), os.urandom(32)
        c = claims(wire, context, self.identity.spki)
        evidence, text = self.collection(c), self.policy()
        bound = {"binding": wire.digest(self.identity.spki, wire.exported(context)), "hash": "sha256",
                 "role": "server"}
        self.assert_accepted(self.appraise(evidence=evidence, policy_text=text, **bound))
        self.assert_accepted(self.appraise(evidence=evidence, policy_text=text, report_data=report_data(c)))
        self.assert_refused(self.appraise(evidence=evidence, policy_text=text, **{**bound, "role": "client"}), "role")
        self.assert_refused(self.appraise(evidence=evidence, policy_text=text, **{**bound, "binding": bytes(32)}),
                            "binding")

    def test_a_collection_stripped_to_its_report(self):
        wire, context = Wire(), os.urandom(32)
        c = claims(wire, context, self.identity.spki)
        whole = self.collection(c)
        report = cbor2.loads(whole)["tee"][1]
        strict = self.open_policy().replace("bare-report allowed\n", "")
        self.assert_accepted(self.appraise(evidence=whole, policy_text=strict, report_data=report_data(c)))
        for stripped in report, cbor2.loads(report)["outblob"]:
            self.assert_refused(self.appraise(evidence=stripped, policy_text=strict, report_data=report_data(c)),
                                "profile", "bare-report allowed")
            self.assert_accepted(
                self.appraise(evidence=stripped, policy_text=self.open_policy(), report_data=report_data(c)))

    def test_sc19d_sc21_sc25c_a_weak_guest(self):
        body = "version=5", "body=1.5"
        self.assert_accepted(self.appraise(evidence=self.forge(bytes(64), *body), report_data=bytes(64),
                                           policy_text=self.open_policy()))
        for setting, name in (("tdattributes=0000000000000000", "sept-ve-disable-off"),
                              ("tdattributes=0000003000000000", "migratable"),
                              ("mrservicetd=" + "5e" * 48, "service-td")):
            with self.subTest(name):
                quote = self.forge(bytes(64), *body, setting)
                self.assert_refused(
                    self.appraise(evidence=quote, report_data=bytes(64), policy_text=self.open_policy()),
                    "attributes", f'"attributes {name}"')
                self.assert_accepted(self.appraise(evidence=quote, report_data=bytes(64),
                                                   policy_text=self.open_policy(f"attributes {name}")))

    def test_at_a_time(self):
        data = bytes(64)
        quote, text = self.forge(data), self.open_policy()
        old = self.forge(data, "flaw=expired-pck")
        in_2020 = GLib.Variant("t", 1590000000)
        self.assert_refused(self.appraise(evidence=old, report_data=data, policy_text=text), "validity")
        self.assert_accepted(self.appraise(evidence=old, report_data=data, policy_text=text, at=in_2020))
        self.assert_refused(self.appraise(evidence=quote, report_data=data, policy_text=text, at=GLib.Variant("t", 0)),
                            "validity")
        self.assert_error(ERROR + "InvalidArgument", self.appraise, evidence=quote, policy_text=text,
                          at=GLib.Variant("t", 2**63))

    def test_flaws_of_a_quote(self):
        for flaw, check in (("bad-signature", "quote-signature"), ("qe-not-binding", "qe-binding"),
                            ("qe-wrong-signer", "qe-report-signature"), ("other-root", "pck-chain"),
                            ("qe-mrsigner", "qe-identity"), ("qe-vendor", "qe-vendor"), ("version", "quote-format")):
            with self.subTest(flaw):
                quote = self.forge(bytes(64), f"flaw={flaw}")
                self.assert_refused(
                    self.appraise(evidence=quote, report_data=bytes(64), policy_text=self.open_policy()), check)

    def test_sc03a_zeros(self):
        for size in 0, 1, 160, 5000:
            self.assert_refused(
                self.appraise(evidence=bytes(size), report_data=bytes(64), policy_text=self.open_policy()),
                "format" if size < 2 else "quote-format")

    def test_sc03e_sc08a_report_data_of_another_size(self):
        quote = self.forge(bytes(64))
        for size in 0, 1, 32, 63, 65, 128:
            self.assert_error(ERROR + "InvalidArgument", self.appraise, evidence=quote, report_data=bytes(size),
                              policy_text=self.open_policy(), says="exactly 64 bytes")
        for size in 0, 31, 33, 48, 64:
            self.assert_error(ERROR + "InvalidArgument", self.appraise, evidence=quote, binding=bytes(size),
                              hash="sha256", role="server", policy_text=self.open_policy(), says="exactly 32 bytes")
        self.assert_accepted(
            self.appraise(evidence=quote, report_data=bytes(64), policy_text=self.open_policy()))

    def test_sc34_size_of_evidence(self):
        self.assert_refused(self.appraise(evidence=bytes(1 << 20), policy_text=self.open_policy()), "report-data")
        self.assert_error(ERROR + "TooLarge", self.appraise, evidence=bytes((1 << 20) + 1),
                          policy_text=self.open_policy())


    def test_sc34a_nothing_is_decompressed(self):
        quote, text = self.forge(bytes(64)), self.open_policy()
        self.assert_accepted(self.appraise(evidence=quote, report_data=bytes(64), policy_text=text))
        bomb = gzip.compress(bytes(256 << 20))
        self.assertLess(len(bomb), 1 << 20)
        before = self.verifier.rss_kib()
        for packed in (gzip.compress(quote), zlib.compress(quote), lzma.compress(quote), bz2.compress(quote), bomb):
            self.assert_refused(self.appraise(evidence=packed, report_data=bytes(64), policy_text=text), "format")
        self.assertLess(self.verifier.rss_kib() - before, 64 << 10)
        # Nor could it be, here or in attestd: nothing that unpacks is called.
        unpackers = re.compile(r"inflate|uncompress|decompress|ZSTD_|BZ2_|lzma_|LZ4_|Brotli|COMP_expand", re.I)
        for program in "attestd", "attestd-verifier":
            imports = subprocess.check_output(["nm", "-D", "--undefined-only", self.guest.program(program)], text=True)
            self.assertIn("g_bytes_new", imports)
            self.assertIsNone(unpackers.search(imports), program)

    def test_sc43_every_flaw_of_a_quote_ends_in_refused(self):
        usage = subprocess.check_output([self.guest.program("tdx-forge"), "--help"], text=True)
        flaws = re.findall(r"(?m)^  ([a-z0-9-]+)", usage.split("flaws:")[1])
        self.assertGreater(len(flaws), 20)
        accepted = set()
        for flaw in flaws:
            quote = self.forge(bytes(64), f"flaw={flaw}")
            answer, result = self.appraise(evidence=quote, report_data=bytes(64), policy_text=self.open_policy())
            self.assertEqual(answer, result["accepted"])
            self.assertEqual(answer, not [name for name, status, _ in result["checks"] if status == "failed"])
            accepted |= {flaw} if answer else set()
        self.assertEqual(accepted, {"none"})


class Keys(Base):
    """SC-42: a key that is used is the one that was verified, whichever of them another is put for."""

    def appraise_with(self, identity=None, spki=None, key_hash=None, *settings, anybody=False):
        """The verdict on what an attacker with this much makes of it."""
        wire = Wire()
        named = {"policy_text": self.policy("peer any"), "handshake_key": None} if anybody else {}
        session = self.open(**named)
        request, context = self.request(session)
        c = claims(wire, context, spki or self.identity.spki)
        if key_hash:
            said = cbor2.loads(c)
            said.value[-78000] = [-16, wire.digest(key_hash)]
            c = cbor2.dumps(said, canonical=True)
        return self.validate(session, wire, context,
                             self.answer(wire, request, self.collection(c, None, *settings), identity))

    def test_sc42_each_key_is_the_one_that_was_verified(self):
        other = Identity()
        borrowed = Identity()
        borrowed.der, borrowed.spki = self.identity.der, self.identity.spki  # the right leaf, another private key
        self.assert_accepted(self.appraise_with())
        self.assert_accepted(self.appraise_with(other, other.spki, anybody=True))
        self.assert_refused(self.appraise_with(borrowed), "authenticator")
        self.assert_refused(self.appraise_with(other, other.spki), "peer-name", "handshake")
        self.assert_refused(self.appraise_with(other, anybody=True), "binding")
        self.assert_refused(self.appraise_with(None, other.spki), "binding")
        self.assert_refused(self.appraise_with(None, None, other.spki), "key-hash")
        for flaw, check in (("wrong-signer", "quote-signature"), ("qe-not-binding", "qe-binding"),
                            ("qe-wrong-signer", "qe-report-signature"), ("self-signed", "pck-chain"),
                            ("other-root", "pck-chain")):
            with self.subTest(flaw):
                self.assert_refused(self.appraise_with(None, None, None, f"flaw={flaw}"), check)


class BadInput(Base):
    def test_parameters(self):
        bad = ERROR + "InvalidArgument"
        for change, says in (
            ({"role": None}, "role"), ({"role": "peer"}, "client"), ({"hash": None}, "hash"),
            ({"hash": "sha512"}, "sha384"), ({"hash": "SHA256"}, "sha384"), ({"role": GLib.Variant("u", 1)}, "role"),
            ({"handshake_key": b""}, "key"), ({"handshake_key": self.identity.spki + b"\0"}, "key"),
            ({"handshake_key": self.identity.spki[:-1]}, "key"), ({"local_key": b"x" * 9000}, "local_key"),
            ({"peer_name": "server.example"}, "anchors"), ({"handshake_key": None, "peer_name": "x"}, "anchors"),
            ({"handshake_key": None, "peer_name": "", "trust_anchors": [self.identity.der]}, "empty"),
            ({"peer_name": "a" * 254}, "peer_name"), ({"trust_anchors": [self.identity.der]}, "name"),
            ({"trust_anchors": [b"x"]}, "trust anchor 1"), ({"trust_anchors": [self.identity.der, b""]}, "anchor 2"),
            ({"trust_anchors": [self.identity.der] * 257}, "256"),
            ({"policy": "default"}, "not both"), ({"policy_text": ""}, "policy_text:1:1: "),
            ({"policy_text": "attestd-policy 1\ntee sgx\n"}, "policy_text:2:5: "),
            ({"policy_text": self.open_policy("#" * (4 << 20))}, "policy_text"),
        ):
            with self.subTest(change=str(change)[:200]):
                self.assert_error(bad, self.open, says=says, **change)
        self.assert_error(ERROR + "UnknownOption", self.open, frobnicate=True)
        self.assert_accepted(self.exchange(self.open(), Wire()))

    def test_policies_by_name(self):
        (self.policies / "default.policy").write_text(self.policy())
        (self.policies / "pay-roll_2.x.policy").write_text(self.policy())
        (self.policies / "broken.policy").write_text("attestd-policy 1\ntee tdx\n")
        (self.policies / "empty.policy").write_text("")
        (self.policies / "big.policy").write_text(self.open_policy("#" * (4 << 20)))
        (self.policies / "link.policy").symlink_to("default.policy")
        (self.policies / ".hidden.policy").write_text(self.policy())
        (self.policies / "secret.policy").write_text(self.policy())
        (self.policies / "secret.policy").chmod(0o600)
        self.assert_accepted(self.exchange(self.open(policy_text=None), Wire()))
        self.assert_accepted(self.exchange(self.open(policy_text=None, policy="pay-roll_2.x"), Wire()))
        bad = ERROR + "InvalidArgument"
        self.assert_error(bad, self.open, policy_text=None, policy="broken", says="broken.policy:3:1: ")
        self.assert_error(bad, self.open, policy_text=None, policy="empty", says="empty.policy:1:1: ")
        for name in "none", "link", "big", "secret":
            self.assert_error(bad, self.open, policy_text=None, policy=name, says="can be read")
        for name in "", ".hidden", "..", "../policy.d/default", "/etc/passwd", "a b", "ä", "a" * 65:
            self.assert_error(bad, self.open, policy_text=None, policy=name, says="letters, digits")

    def test_a_policy_that_changes_counts_for_the_next_session(self):
        (self.policies / "default.policy").write_text(self.policy())
        wire, before = Wire(), self.open(policy_text=None)
        (self.policies / "default.policy").write_text(self.policy("machine ppid " + "22" * 16))
        self.assert_accepted(self.exchange(before, wire))
        self.assert_refused(self.exchange(self.open(policy_text=None), wire), "machine")

    def test_validate(self):
        session, wire = self.open(), Wire()
        _, context = self.request(session)

        def validate(authenticator=b"x", exported=bytes(32), handshake_context=bytes(32), finished_key=bytes(32), **o):
            values = {"handshake_context": handshake_context, "finished_key": finished_key, **o}
            values = {k: v for k, v in values.items() if v is not None}
            return self.call(session, SESSION, "Validate",
                             GLib.Variant("(ayaya{sv})", (authenticator, exported, options(**values))))

        bad = ERROR + "InvalidArgument"
        self.assert_error(bad, validate, authenticator=b"")
        self.assert_error(bad, validate, authenticator=bytes(128 * 1024 + 1))
        for size in 0, 31, 33, 64:
            self.assert_error(bad, validate, exported=bytes(size))
            self.assert_error(bad, validate, handshake_context=bytes(size))
            self.assert_error(bad, validate, finished_key=bytes(size))
        self.assert_error(bad, validate, finished_key=None)
        self.assert_error(ERROR + "UnknownOption", validate, x=b"")
        # None of that has used up the request.
        self.assert_refused(validate(), "authenticator")
        self.assert_accepted(self.exchange(session, wire))

    def test_signatures_and_names(self):
        session = self.open()
        for path, interface, method, arguments in (
            (PATH, NAME, "OpenSession", None), (PATH, NAME, "OpenSession", GLib.Variant("(s)", ("x",))),
            (PATH, NAME, "Appraise", GLib.Variant("(ay)", (b"x",))),
            (session, SESSION, "Validate", GLib.Variant("(ay)", (b"x",))),
            (session, SESSION, "RecordContext", GLib.Variant("(s)", ("x",))),
            (session, SESSION, "Close", GLib.Variant("(s)", ("x",))),
        ):
            self.assert_error(ERROR + "InvalidArgument", self.call, path, interface, method, arguments)
        self.assert_error(ERROR + "InvalidArgument", self.call, session, SESSION, "RecordContext",
                          GLib.Variant("(ay)", (bytes(256),)))
        self.assert_accepted(self.exchange(session, Wire()))

    def test_options_of_appraise(self):
        quote, text = self.forge(bytes(64)), self.open_policy()
        bad = ERROR + "InvalidArgument"
        self.assert_error(bad, self.appraise, policy_text=text)
        self.assert_error(bad, self.appraise, evidence=quote)
        self.assert_error(bad, self.appraise, evidence=quote, policy_text="x")
        self.assert_error(bad, self.appraise, evidence=quote, policy_text=text, hash="sha256")
        self.assert_error(bad, self.appraise, evidence=quote, policy_text=text, binding=bytes(32))
        self.assert_error(bad, self.appraise, evidence=quote, policy_text=text, binding=bytes(32), hash="sha256",
                          role="server", report_data=bytes(64))
        self.assert_error(ERROR + "UnknownOption", self.appraise, evidence=quote, policy_text=text, pccs_url="x")


class Program(Base):
    def run_verifier(self, *arguments, user=private_guest.VERIFIER_USER):
        return self.guest.run([self.guest.program("attestd-verifier"), *arguments], user=user)

    def test_refuses_to_run_as_root(self):
        result = self.run_verifier(user=None)
        self.assertEqual(result.returncode, 2)
        self.assertIn("must not run as root", result.stderr)

    def test_sc41a_a_second_instance_says_so_and_ends(self):
        result = self.run_verifier()
        self.assertEqual(result.returncode, 3)
        self.assertIn("another instance", result.stderr + result.stdout)
        self.assert_accepted(self.exchange(self.open(), Wire()))

    def test_sc41b_of_many_that_start_one_serves(self):
        self.verifier.stop()
        many = [self.guest.start_verifier(wait=False) for _ in range(5)]
        self.guest.wait_for_name(NAME)
        self.assertEqual([p.wait() for p in many if p.pid != self.guest.pid_of(NAME)], [3] * 4)
        self.assert_accepted(self.exchange(self.open(), Wire()))

    def test_options(self):
        self.assertRegex(self.run_verifier("--version").stdout, r"^attestd-verifier \d+\.\d+\.\d+$")
        self.assertIn("--verbose", self.run_verifier("--help").stdout)
        for arguments in ["--frobnicate"], ["x"], ["--policy-directory=/tmp"]:  # no option moves a path
            result = self.run_verifier(*arguments)
            self.assertEqual(result.returncode, 2, result)
            self.assertTrue(result.stderr.startswith("attestd-verifier: "))

    def test_no_bus(self):
        result = self.guest.run([self.guest.program("attestd-verifier")], user=private_guest.VERIFIER_USER,
                                env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot reach the system bus", result.stderr + result.stdout)

    def test_sc45_no_secret_in_the_log(self):
        wire, session = Wire(), self.open()
        request, context = self.request(session)
        self.assert_accepted(self.validate(session, wire, context, self.honest_answer(wire, request, context)))
        _, context_2 = self.request(session)
        self.assert_refused(self.validate(session, wire, context_2, b"nonsense"), "authenticator")
        log = self.verifier.log()
        self.assertIn("accepted", log)
        self.assertIn("refused", log)
        for secret in wire.keys.context, wire.keys.key, wire.exported(context), context:
            self.assertNotIn(secret.hex(), log.lower())

    def test_has_no_right_and_no_device(self):
        status = pathlib.Path(f"/proc/{self.verifier.pid}/status").read_text()
        self.assertRegex(status, r"CapEff:\s+0+\n")
        self.assertFalse([f for f in self.verifier.fds() if f.startswith("/dev/") and f != "/dev/null"])


class Logs(Base):
    """Logs beside evidence: given by descriptor, appraised by the policy."""
    RULES = ("ima root rtmr", "ima exclude /usr/")

    def setUp(self):
        super().setUp()
        self.data = [self.record("boot_aggregate"), *(self.record(f"/usr/bin/{n}") for n in range(50))]

    @staticmethod
    def record(path, digest=bytes(32)):
        return private_guest.template_data("ima-sig", path, digest, "sha256")

    def entries(self, first=0, end=None, bank="sha1"):
        """As the kernel lists them."""
        return b"".join(struct.pack("<I", 10) + hashlib.new(bank, data).digest() + struct.pack("<I", 7) + b"ima-sig" +
                        struct.pack("<I", len(data)) + data for data in self.data[first:end])

    def aggregate(self, count):
        value = bytes(48)
        for data in self.data[:count]:
            value = hashlib.sha384(value + hashlib.sha384(data).digest()).digest()
        return value

    def answer_for(self, wire, request, context, count, boot_digest=None, rtmr=()):
        c = cbor2.loads(claims(wire, context, self.identity.spki))
        aggregate = self.aggregate(count)
        c.value[266]["ima"] = {"root": "rtmr", "bank": "sha384", "count": count, "violations": 0,
                               "aggregate": aggregate, "register": 3}
        if boot_digest:
            c.value[266]["boot"] = {"digest": [-16, boot_digest]}
        c = cbor2.dumps(c, canonical=True)
        evidence = self.collection(c, None, f"rtmr3={aggregate.hex()}", *rtmr)
        return self.answer(wire, request, evidence), evidence, report_data(c)

    def renew(self, session, wire, count):
        request, context = self.request(session)
        return self.validate(session, wire, context, self.answer_for(wire, request, context, count)[0])

    @staticmethod
    def memfd(content, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE):
        fd = os.memfd_create("log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(fd, "wb", closefd=False) as f:
            f.write(content)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    def call_with_fd(self, path, interface, method, arguments, fd, done=None):
        """@done: called later; else waits."""
        fds = Gio.UnixFDList.new_from_array([fd])  # closes it
        more = NAME, path, interface, method, arguments, None, Gio.DBusCallFlags.NONE, 60000, fds, None
        if done:
            return self.bus.call_with_unix_fd_list(*more, done)
        return self.bus.call_with_unix_fd_list_sync(*more)[0].unpack()

    def add(self, session, content, first=0, log="ima", seals=None, **more):
        fd = self.memfd(content) if seals is None else self.memfd(content, seals)
        arguments = GLib.Variant("(shta{sv})", (log, 0, first, options(**more)))
        return self.call_with_fd(session, SESSION, "AddLog", arguments, fd)

    def property(self, session, name):
        return self.call(session, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (SESSION, name)))[0]

    def open_with_logs(self, *rules):
        return self.open(policy_text=self.policy(*(rules or self.RULES)))

    def test_a_session_says_what_it_needs(self):
        for rules, logs in (((), []), (("ima root rtmr",), ["ima"]), (("boot-log required",), ["boot"]),
                            (("ima root claimed", "boot-log required"), ["ima", "boot"])):
            session = self.open(policy_text=self.policy(*rules))
            self.assertEqual(self.property(session, "Logs"), logs)
            self.assertEqual(self.property(session, "LogNext"), 0)
            for log in {"ima", "boot", "register", ""} - set(logs):
                self.assert_error(ERROR + "InvalidArgument", self.add, session, b"", log=log, says="no such log")

    def test_increments_from_verdict_to_verdict(self):
        wire, session = Wire(), self.open_with_logs()
        self.assert_refused(self.renew(session, wire, 10), "ima-log", "only 0 were given")
        self.add(session, self.entries(0, 7))
        self.add(session, self.entries(7, 12), 7)
        self.assertEqual(self.property(session, "LogNext"), 12)
        self.assert_accepted(self.renew(session, wire, 10))
        self.add(session, self.entries(12, 12), 12)
        self.assert_accepted(self.renew(session, wire, 12))
        self.data.append(self.record("/opt/unknown", b"u" * 32))
        self.add(session, self.entries(12, bank="sha256"), 12, bank="sha256")
        answer = self.renew(session, wire, 51)
        self.assert_accepted(answer)
        log = json.loads(answer[1]["json"])["ima_log"]
        self.assertEqual((log["entries"], log["new_entries"], log["violations"]), (51, 39, 0))
        self.assertEqual(log["new"][0]["path"], "/usr/bin/11")

    def test_what_ran_is_told_and_what_is_unknown_is_refused(self):
        wire, session = Wire(), self.open_with_logs(*self.RULES, f"ima allow sha256:{'61' * 32} /opt/app")
        self.data.append(self.record("/opt/app", b"a" * 32))
        self.add(session, self.entries())
        answer = self.renew(session, wire, 52)
        self.assert_accepted(answer)
        self.assertEqual(json.loads(answer[1]["json"])["ima_log"]["new"][-1],
                         {"path": "/opt/app", "digest": "sha256:" + "61" * 32, "verdict": "allowed"})
        self.data.append(self.record("/opt/unknown\n\x1b[2J", b"u" * 32))
        self.add(session, self.entries(52), 52)
        answer = self.renew(session, wire, 53)
        self.assert_refused(answer, "ima", "entry 52, /opt/unknown??[2J sha256:" + "75" * 32)
        self.assertEqual(json.loads(answer[1]["json"])["ima_log"]["new"],
                         [{"path": "/opt/unknown\n\x1b[2J", "digest": "sha256:" + "75" * 32, "verdict": "unknown"}])

    def test_sc34_long_paths_do_not_cost_the_bus(self):
        """The bus cuts off who sends a message of 32 MiB, and all sessions would go with it."""
        wire, session, other = Wire(), self.open_with_logs(), self.open()
        self.data += [self.record(f"/{i}/".ljust(600 << 10, "x"), b"a" * 32) for i in range(64)]
        for first in range(0, len(self.data), 23):
            last = min(first + 23, len(self.data))
            self.add(session, self.entries(first, last), first)
        answer = self.renew(session, wire, len(self.data))
        self.assert_accepted(answer)
        new = json.loads(answer[1]["json"])["ima_log"]["new"]
        self.assertEqual([(entry["path"][:4], len(entry["path"])) for entry in new[-2:]],
                         [("/62/", 4096), ("/63/", 4096)])
        self.assert_accepted(self.exchange(other, wire))

    def test_sc16_gaps_and_overlaps(self):
        wire, session = Wire(), self.open_with_logs()
        bad = ERROR + "InvalidArgument"
        self.add(session, self.entries(0, 10))
        self.assert_error(bad, self.add, session, self.entries(11, 20), 11, says="a gap: the next entry is 10")
        self.assert_error(bad, self.add, session, self.entries(9, 20), 9, says="an overlap")
        self.assert_error(bad, self.add, session, self.entries(10, 20), 2**64 - 1, says="a gap")
        self.assert_error(bad, self.add, session, self.entries(10, 20), 10, bank="sm3", says="bank")
        self.assert_error(ERROR + "UnknownOption", self.add, session, b"", 10, frobnicate=True)
        self.assert_error(ERROR + "BadData", self.add, session, self.entries(10, 20), 10, bank="sha256")
        self.assert_error(ERROR + "BadData", self.add, session, self.entries(10, 20)[:-1], 10, says="entry 19")
        self.assertEqual(self.property(session, "LogNext"), 10)
        self.add(session, self.entries(10, 20), 10)
        self.assert_accepted(self.renew(session, wire, 20))

    def test_only_sealed_memory_of_bounded_size(self):
        session = self.open_with_logs("ima root rtmr", "boot-log required")
        everything = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        for log in "ima", "boot":
            for seal in fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, everything:
                self.assert_error(ERROR + "BadData", self.add, session, self.entries(), 0, log, everything & ~seal,
                                  says="sealed memfd")
            for other in os.open(__file__, os.O_RDONLY), os.pipe()[0], os.open("/", os.O_PATH):
                arguments = GLib.Variant("(shta{sv})", (log, 0, 0, {}))
                self.assert_error(ERROR + "BadData", self.call_with_fd, session, SESSION, "AddLog", arguments, other)
            self.assert_error(ERROR + "BadData", self.add, session, bytes((16 << 20) + 1), 0, log, says="16777216 bytes")
        self.assert_error(ERROR + "InvalidArgument", self.add, session, b"", 1, "boot", says="first is 0")
        self.add(session, bytes(16 << 20), 0, "boot")
        self.add(session, b"", 0, "boot")
        big = self.entries() * (1 + (16 << 20) // len(self.entries()))
        record = len(self.entries()) // len(self.data)
        self.assertGreater(len(big), 16 << 20)
        self.add(session, big[:(16 << 20) - (16 << 20) % len(self.entries())])
        self.assertGreater(self.property(session, "LogNext"), 100000)
        self.assertGreater(record, 90)

    def test_sc34_a_user_can_give_so_many_bytes_of_logs(self):
        """Of logs that no verdict has covered: what is closed, or covered, counts no longer."""
        sessions = []
        with self.assertRaises(GLib.Error) as caught:
            for _ in range(80):
                sessions.append(self.open_with_logs("boot-log required"))
                self.add(sessions[-1], bytes(16 << 20), 0, "boot")
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), ERROR + "LimitReached")
        self.assertEqual(len(sessions), 65)
        # Likewise what is appraised without one, be it the first call of its connection.
        given = {"policy_text": self.policy(*self.RULES), "evidence": b"x", "ima_log": self.entries()}
        arguments = GLib.Variant("(a{sv})", (options(**given),))
        for bus in self.guest.connect(), self.bus:
            self.assert_error(ERROR + "LimitReached", self.call, PATH, NAME, "Appraise", arguments, bus, says="logs")
        self.call(sessions[0], SESSION, "Close")
        self.assert_refused(self.appraise(**given), "format")
        self.add(sessions[-1], bytes(16 << 20), 0, "boot")

    # Has the verifier appraise evidence that is none, with this log.
    APPRAISER = f"""
import sys
from gi.repository import Gio, GLib
values = {{"evidence": GLib.Variant("ay", b"x"), "policy_text": GLib.Variant("s", sys.argv[1]),
          "ima_log": GLib.Variant("ay", bytes.fromhex(sys.argv[2]))}}
Gio.bus_get_sync(Gio.BusType.SYSTEM).call_sync("{NAME}", "{PATH}", "{NAME}", "Appraise",
                                               GLib.Variant("(a{{sv}})", (values,)), None, 0, 60000, None)
"""

    def test_sc34_a_user_has_so_many_logs_appraised(self):
        """And not more from many connections; what he has, ends with them, and is not another's loss."""
        text, log = self.policy(*self.RULES), self.memfd(self.entries() + self.entries(1) * 6000)
        given = {**options(policy_text=text, evidence=b"x"), "ima_log": GLib.Variant("h", 0)}
        arguments, buses, answers = GLib.Variant("(a{sv})", (given,)), [], []
        for _ in range(4):
            buses.append(self.guest.connect())
            buses[-1].call_with_unix_fd_list(NAME, PATH, NAME, "Appraise", arguments, None, Gio.DBusCallFlags.NONE,
                                             60000, Gio.UnixFDList.new_from_array([os.dup(log)]), None,
                                             lambda bus, result: answers.append(result))
            self.call(PATH, "org.freedesktop.DBus.Properties", "GetAll", GLib.Variant("(s)", (NAME,)), buses[-1])
        small = {"policy_text": text, "evidence": b"x", "ima_log": self.entries()}
        self.assert_error(ERROR + "LimitReached", self.appraise, **small, says="a user may have 4 logs")
        self.guest.run([private_guest.PYTHON, "-c", self.APPRAISER, text, self.entries(0, 5).hex()], user="nobody",
                       check=True)
        self.assert_refused(self.appraise(policy_text=text, evidence=b"x"), "format")  # without a log
        while GLib.MainContext.default().iteration(False):
            continue
        self.assertEqual(answers, [])
        for bus in buses:
            bus.close_sync(None)
        for _ in range(5):
            self.assert_refused(self.appraise(**small), "format")
        os.close(log)

    def goes_on_while_a_log_is_read(self):
        """False: it was read before anything else could be tried."""
        wire, session, other = Wire(), self.open_with_logs(), self.open()
        big = self.entries() + self.entries(1) * ((15 << 20) // len(self.entries()))
        answers, loop = [], GLib.MainLoop()

        def done(bus, result):
            answers.append(bus.call_with_unix_fd_list_finish(result)[0])
            loop.quit()
        arguments = GLib.Variant("(shta{sv})", ("ima", 0, 0, {}))
        self.call_with_fd(session, SESSION, "AddLog", arguments, self.memfd(big), done)
        self.assert_error(ERROR + "LimitReached", self.add, session, b"", says="the former AddLog")
        request, context = self.request(session)
        self.assert_error(ERROR + "LimitReached", self.validate, session, wire, context, b"x", says="AddLog")
        self.assert_accepted(self.exchange(other, Wire()))
        next_entry, is_read = self.property(session, "LogNext"), bool(answers)
        if not answers:
            loop.run()
        self.assertEqual(answers[0].unpack(), ())
        self.assertGreater(self.property(session, "LogNext"), 100000)
        self.assert_accepted(self.renew(session, wire, 51))
        return not is_read and next_entry == 0

    def test_others_go_on_while_a_log_is_read(self):
        self.assertTrue(any(self.goes_on_while_a_log_is_read() for _ in range(5)))

    def test_a_session_that_is_closed_meanwhile(self):
        session = self.open_with_logs()
        big = self.entries() + self.entries(1) * ((15 << 20) // len(self.entries()))
        errors, loop = [], GLib.MainLoop()

        def done(bus, result):
            try:
                bus.call_with_unix_fd_list_finish(result)
            except GLib.Error as e:
                errors.append(Gio.DBusError.get_remote_error(e))
            loop.quit()
        arguments = GLib.Variant("(shta{sv})", ("ima", 0, 0, {}))
        self.call_with_fd(session, SESSION, "AddLog", arguments, self.memfd(big), done)
        self.call(session, SESSION, "Close")
        loop.run()
        self.assertEqual(errors, [ERROR + "Cancelled"])
        # And with its owner.
        bus = self.guest.connect()
        session = self.open(bus, policy_text=self.policy(*self.RULES))
        fds = Gio.UnixFDList.new_from_array([self.memfd(big)])
        bus.call_with_unix_fd_list(NAME, session, SESSION, "AddLog", arguments, None, Gio.DBusCallFlags.NONE, 60000,
                                   fds, None, None)
        bus.flush_sync(None)
        bus.close_sync(None)
        self.assert_accepted(self.exchange(self.open(), Wire()))

    def test_evidence_without_a_connection(self):
        wire = Wire()
        _, evidence, data = self.answer_for(wire, *self.request(self.open()), 51)
        text = self.policy(*self.RULES)
        given = {"evidence": evidence, "report_data": data, "policy_text": text}
        self.assert_refused(self.appraise(**given), "ima-log", "the log is not there")
        self.assert_accepted(self.appraise(**given, ima_log=self.entries()))
        self.assert_accepted(self.appraise(**given, ima_log=self.entries(bank="sha512"), ima_bank="sha512"))
        self.assert_refused(self.appraise(**given, ima_log=self.entries(0, 50)), "ima-log", "only 50 were given")
        self.assert_error(ERROR + "BadData", self.appraise, **given, ima_log=self.entries()[1:])
        self.assert_error(ERROR + "InvalidArgument", self.appraise, **given, ima_bank="sha1", says="ima_log")
        self.assert_error(ERROR + "InvalidArgument", self.appraise, **given, ima_log=b"", ima_bank="x", says="bank")
        self.assert_error(ERROR + "TooLarge", self.appraise, **given, boot_log=bytes((16 << 20) + 1), says="boot_log")
        arguments = GLib.Variant("(a{sv})", ({**options(**given), "ima_log": GLib.Variant("h", 0)},))
        self.assert_accepted(self.call_with_fd(PATH, NAME, "Appraise", arguments, self.memfd(self.entries())))
        self.assert_error(ERROR + "BadData", self.call_with_fd, PATH, NAME, "Appraise", arguments,
                          self.memfd(self.entries(), 0))

    def test_a_long_log(self):
        """A million entries with ATTESTD_TEST_LONG=yes."""
        many = 1000000 if os.environ.get("ATTESTD_TEST_LONG") == "yes" else 100000
        wire, session = Wire(), self.open_with_logs()
        self.data += [self.record(f"/usr/lib/x86_64-linux-gnu/library-{n}.so", n.to_bytes(32, "big"))
                      for n in range(many - len(self.data))]
        before, size, spent, at = self.verifier.rss_kib(), 0, 0, 0
        cpu = self.verifier.cpu_seconds()
        while at < len(self.data):
            piece = self.entries(at, at + 90000)
            start = time.monotonic()
            self.add(session, piece, at)
            spent += time.monotonic() - start
            size += len(piece)
            at += 90000
        cpu = self.verifier.cpu_seconds() - cpu
        request, context = self.request(session)
        answer = self.answer_for(wire, request, context, many)[0]
        start = time.monotonic()
        self.assert_accepted(self.validate(session, wire, context, answer))
        print(f"\nAddLog: {many} entries, {size} bytes, {size / spent / 1e6:.0f} MB/s, {many / spent:.0f} entries/s; "
              f"{cpu:.2f} s of CPU, which is {size / cpu / 1e6:.0f} MB/s; Validate {time.monotonic() - start:.3f} s; "
              f"RSS {before} KiB before, {self.verifier.peak_rss_kib()} KiB at most, {self.verifier.rss_kib()} KiB after",
              file=sys.stderr)


class Contract(Base):
    XML = ET.parse(SOURCE / "dbus/org.attestd.Verifier1.xml").getroot()
    MAN = (SOURCE / "dbus/org.attestd.Verifier1.5").read_text()

    @staticmethod
    def members(root):
        for interface in root.iter("interface"):
            if not interface.get("name").startswith("org.freedesktop."):
                for m in interface:
                    if m.tag in ("method", "signal", "property"):
                        arguments = tuple((a.get("name"), a.get("type"), a.get("direction")) for a in m.iter("arg"))
                        constant = [a.get("value") for a in m.iter("annotation")]
                        yield (interface.get("name"), m.tag, m.get("name"), m.get("type"), m.get("access"), arguments,
                               tuple(constant))

    def introspect(self, path):
        text = self.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]
        return self.members(ET.fromstring(text))

    def test_introspection_is_the_xml(self):
        self.assertEqual(set(self.introspect(PATH)) | set(self.introspect(self.open())), set(self.members(self.XML)))

    def test_properties(self):
        values = self.call(PATH, "org.freedesktop.DBus.Properties", "GetAll", GLib.Variant("(s)", (NAME,)))[0]
        self.assertRegex(values["Version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(values["Profiles"][0], EVIDENCE)
        self.assertEqual(values["Formats"], ["application/vnd.veraison.tsm-report+cbor"])

    def test_the_man_page_has_every_member(self):
        for _, kind, name, type_, _, arguments, _ in self.members(self.XML):
            if kind == "property":
                self.assertIn(f".It Va {name} Pq {type_}\n", self.MAN)
            else:
                into = "".join(f' "{t} {n}"' for n, t, d in arguments if d == "in")
                self.assertIn(f"Fn {name}{into}\n", self.MAN)
                for n, t, d in arguments:
                    if d == "out":
                        self.assertIn(f'.Fa "{t} {n}"', self.MAN)

    def test_the_man_page_has_every_error(self):
        comments = (SOURCE / "dbus/org.attestd.Verifier1.xml").read_text()
        names = set(re.findall(r"[A-Z][a-zA-Z]+", " ".join(re.findall(r"Errors: ([^-]*?)\n *-->", comments))))
        self.assertGreater(len(names), 5)
        for name in names | {"NoSuchSession"}:
            self.assertIn(f".It Er {name}\n", self.MAN)

    def test_the_man_page_has_every_check_in_order(self):
        _, result = self.appraise(evidence=b"xx", policy_text=self.open_policy())
        section = self.MAN.split(".Sh CHECKS\n")[1].split(".Sh")[0]
        named = re.findall(r"[a-z-]+", " ".join(re.findall(r"^\.It (.*)$", section, re.M)))
        self.assertEqual(named, [name for name, _, _ in result["checks"]])


class BusWithoutSignals(private_guest.GuestTest):
    guest_options = {"simulator": False, "polkit": False, "bus_limits": {"max_match_rules_per_connection": 0}}

    def test_who_is_not_told_that_callers_leave_ends(self):
        verifier = self.guest.start_verifier(wait=False)
        self.assertEqual(verifier.wait(), 1)
        self.assertIn("the bus does not tell of its connections", verifier.log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
