#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""BeginAuthenticator and FinishAuthenticator as they are shipped: for a caller that
has a TLS library, a key, and nothing of RFC 9261. What they make is held against
another implementation, and against the verifier."""

import datetime
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "ea")]

import attester1_client as client  # noqa: E402
import second_authenticator as ea  # noqa: E402
from attester1_client import (  # noqa: E402
    COCOS, PAD, PATH, SESSION, AttesterTest, Bus, private_guest, wait_until,
)

private_guest.enter()

import cbor2  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402

CODE_POINT = 0xFF00
VERIFIER = "org.attestd.Verifier1"
POLICY = "attestd-policy 1\ntee tdx\nroot tdx {root}\nworkload any\ncollateral not-required\n"
ED25519, P256, P384, PSS256, PSS384, PSS512 = 0x0807, 0x0403, 0x0503, 0x0804, 0x0805, 0x0806


class Leaf:
    def __init__(self, key, schemes, name="server.test"):
        cn = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        certificate = (x509.CertificateBuilder().subject_name(cn).issuer_name(cn).public_key(key.public_key())
                       .serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
                       .not_valid_after(now + datetime.timedelta(days=1))
                       .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, digest))
        self.key, self.schemes = key, schemes
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        self.spki = ea.spki_of(self.der)


LEAVES = {
    "ed25519": Leaf(ed25519.Ed25519PrivateKey.generate(), [ED25519]),
    "p256": Leaf(ec.generate_private_key(ec.SECP256R1()), [P256]),
    "p384": Leaf(ec.generate_private_key(ec.SECP384R1()), [P384]),
    "rsa": Leaf(rsa.generate_private_key(65537, 2048), [PSS256, PSS384, PSS512]),
}
LEAF = LEAVES["p256"]


class Wire:
    """What both ends of one TLS connection export for authenticators of `role`."""

    def __init__(self, role="server", hash="sha256"):
        size = hashlib.new(hash).digest_size
        self.role, self.hash, self.secret = role, hash, os.urandom(32)
        self.keys = ea.Keys(hash, role, os.urandom(size), os.urandom(size))

    @property
    def peer(self):
        return "client" if self.role == "server" else "server"

    def exported(self, request):
        context = request[5:5 + request[4]] if len(request) > 4 else b""
        return hashlib.sha256(self.secret + context).digest()

    def request(self, schemes=tuple(ea.SCHEMES), code_point=CODE_POINT, context=None):
        return ea.request(self.peer, os.urandom(32) if context is None else context, schemes, code_point)


class Authenticator(AttesterTest):
    def setUp(self):
        super().setUp()
        self.wire = Wire()
        self.session = self.root.open()

    def begin_arguments(self, request, wire=None, leaf=LEAF, exported=None, certificates=None, **options):
        wire = wire or self.wire
        types = {"profile": "s", "timeout_ms": "u", "batch": "b", "cmw_attestation": "q", "decline": "b",
                 "schemes": "aq", "handshake_context": "ay", "finished_key": "ay"}
        options = {"handshake_context": wire.keys.context, "finished_key": wire.keys.key, **options}
        options = {k: v if isinstance(v, GLib.Variant) else GLib.Variant(types[k], v)
                   for k, v in options.items() if v is not None}
        exported = wire.exported(request) if exported is None else exported
        certificates = [leaf.der] if certificates is None else certificates
        return GLib.Variant("(ayayaaya{sv})", (request, exported, certificates, options))

    def begin(self, request, session=None, bus=None, **more):
        handle, scheme, to_be_signed = (bus or self.root).call(
            session or self.session, SESSION, "BeginAuthenticator", self.begin_arguments(request, **more))
        return handle, scheme, bytes(to_be_signed)

    def finish(self, handle, signature, session=None, bus=None):
        return bytes((bus or self.root).call(session or self.session, SESSION, "FinishAuthenticator",
                                             GLib.Variant("(tay)", (handle, signature)))[0])

    def ask(self, answers, request, session=None, bus=None, **more):
        """Without waiting: what it answered, or the name of the error, goes to answers."""

        def done(connection, result):
            try:
                answers.append(connection.call_finish(result).unpack())
            except GLib.Error as e:
                answers.append(Gio.DBusError.get_remote_error(e) or f"local: {e.message}")

        (bus or self.root).bus.call(client.NAME, session or self.session, SESSION, "BeginAuthenticator",
                                    self.begin_arguments(request, **more), None, 0, 120000, None, done)

    def make(self, request, leaf=LEAF, **more):
        handle, scheme, to_be_signed = self.begin(request, leaf=leaf, **more)
        return self.finish(handle, ea.sign(leaf.key, scheme, to_be_signed), more.get("session"))

    def evidence(self, authenticator, request, wire=None):
        spki, cmw, scheme, certificates = ea.validate((wire or self.wire).keys, request, authenticator, CODE_POINT)
        collection = cbor2.loads(cmw)
        c = collection["claims"][1] if "claims" in collection else None
        return collection, cbor2.loads(c).value if c else None

    def n_reports(self):
        return self.tee.stats()["reports"]


class Made(Authenticator):
    def test_another_implementation_takes_it_in_both_roles_with_both_hashes_and_every_key(self):
        for role in "server", "client":
            for hash in "sha256", "sha384":
                wire = Wire(role, hash)
                session = self.root.open(role=role, hash=hash)
                for leaf in LEAVES.values():
                    request = wire.request()
                    handle, scheme, tbs = self.begin(request, session, wire=wire, leaf=leaf)
                    self.assertEqual(scheme, leaf.schemes[0])
                    self.assertEqual(tbs[:87], b" " * 64 + b"Exported Authenticator\0")
                    self.assertEqual(len(tbs), 87 + len(wire.keys.key))
                    made = self.finish(handle, ea.sign(leaf.key, scheme, tbs), session)
                    spki, cmw, used, certificates = ea.validate(wire.keys, request, made, CODE_POINT)
                    self.assertEqual((spki, used, certificates), (leaf.spki, scheme, [leaf.der]))
                    _, claims = self.evidence(made, request, wire)
                    self.assertEqual(claims[10], hashlib.new(hash, leaf.spki + wire.exported(request)).digest())
                    self.assertEqual(claims[-78000][1], hashlib.new(hash, leaf.spki).digest())
                    self.assertEqual(claims[-78001], ("client", "server").index(role))
        self.assertEqual(self.n_reports(), 16)

    def test_the_caller_says_what_it_can_sign(self):
        leaf = LEAVES["rsa"]
        self.assertEqual(self.begin(self.wire.request(), leaf=leaf, schemes=[PSS512, 0x0401, PSS384])[1], PSS384)
        self.assertEqual(self.begin(self.wire.request([PSS512, PSS256]), leaf=leaf, schemes=[PSS512])[1], PSS512)
        reports = self.n_reports()
        for schemes in [PSS256], [], [P256]:
            with self.refused("Refused", "no-common-sigalg"):
                self.begin(self.wire.request([PSS512]), leaf=leaf, schemes=schemes)
        self.assertEqual(self.n_reports(), reports)

    def test_a_chain_goes_with_it(self):
        request, chain = self.wire.request(), [LEAF.der] + [leaf.der for leaf in LEAVES.values()] * 3
        handle, scheme, tbs = self.begin(request, certificates=chain)
        made = self.finish(handle, ea.sign(LEAF.key, scheme, tbs))
        self.assertEqual(ea.validate(self.wire.keys, request, made, CODE_POINT)[3], chain)

    def test_another_code_point(self):
        request = self.wire.request(code_point=0x1234)
        with self.refused("Refused", "extension-not-offered"):
            self.begin(request)
        handle, scheme, tbs = self.begin(request, cmw_attestation=0x1234)
        made = self.finish(handle, ea.sign(LEAF.key, scheme, tbs))
        self.assertTrue(ea.validate(self.wire.keys, request, made, 0x1234)[1])

    def test_it_counts_as_evidence_of_the_session(self):
        heard = []
        self.root.listen(heard)
        self.begin(self.wire.request(), batch=True, timeout_ms=600000)
        self.assertEqual(self.root.get("Generation", self.session, SESSION), 1)
        self.assertTrue(self.logged("evidence of generation 1", "uid 0"))
        self.tee.provider(None)
        with self.refused("DeviceLost"):
            self.begin(self.wire.request())
        self.assertTrue(wait_until(lambda: (self.session, "Stale", (2, ["device"])) in heard))


class OnSnp(Authenticator):
    guest_options = {"tee": "snp", "wrapper": client.UNPRIVILEGED}

    def test_the_report_and_its_certificates_are_in_it(self):
        request = self.wire.request()
        collection, claims = self.evidence(self.make(request), request)
        report = cbor2.loads(collection["tee"][1])
        self.assertEqual(report["provider"], "sev_guest")
        self.assertIn(client.r_of(collection["claims"][1]), report["outblob"])
        self.assertTrue(report["auxblob"])
        self.assertEqual(claims[-78001], 1)


class Profiles(Authenticator):
    configuration = "[Profile expat-pad]\nUids=0\n"

    def test_only_whom_a_drop_in_names(self):
        request = self.wire.request()
        with self.refused("ProfileNotGranted"):
            self.begin(request, profile=COCOS)
        collection, claims = self.evidence(self.make(request, profile=PAD), request)
        self.assertEqual((collection["__cmwc_t"], claims), (PAD, None))


class Refusal(Authenticator):
    """The empty authenticator: the peer hears, and can prove, that this end refuses."""

    def is_empty(self, made, request, wire=None):
        self.assertEqual(made, ea.make_empty((wire or self.wire).keys, request))
        with self.assertRaises(ea.Refused):
            ea.validate((wire or self.wire).keys, request, made, CODE_POINT)

    def test_a_request_is_declined_without_the_tee(self):
        for role in "server", "client":
            for hash in "sha256", "sha384":
                wire = Wire(role, hash)
                session = self.root.open(role=role, hash=hash)
                for request in wire.request(), wire.request([P256], code_point=None), wire.request(context=b""):
                    handle, scheme, tbs = self.begin(request, session, wire=wire, exported=b"", certificates=[],
                                                     decline=True)
                    self.assertEqual((scheme, tbs), (0, b""))
                    self.is_empty(self.finish(handle, b"", session), request, wire)
        self.assertEqual(self.n_reports(), 0)

    def test_what_cannot_be_met_can_be_declined(self):
        for request, says in (
            (self.wire.request(code_point=None), "extension-not-offered"), (self.wire.request([ED25519]), "no-common-sigalg"),
            (self.wire.request(context=b""), "empty context"),
        ):
            with self.refused("Refused", says):
                self.begin(request)
            handle = self.begin(request, decline=True)[0]
            self.is_empty(self.finish(handle, b""), request)
        self.assertEqual(self.n_reports(), 0)

    def test_so_can_a_request_for_which_there_is_no_evidence(self):
        request = self.wire.request()
        self.tee.fault("reportdata", "bit")
        with self.refused("BadData"):
            self.begin(request)
        handle = self.begin(request, decline=True)[0]
        self.is_empty(self.finish(handle, b""), request)
        with self.refused("ContextUsed"):
            self.begin(request, decline=True)

    def test_a_caller_whose_key_does_not_sign_gives_an_empty_signature(self):
        request = self.wire.request()
        handle, scheme, tbs = self.begin(request)
        self.assertTrue(tbs)
        self.is_empty(self.finish(handle, b""), request)

    def test_a_refusal_is_not_signed(self):
        handle = self.begin(self.wire.request(), decline=True)[0]
        with self.refused("InvalidArgument", "must be empty"):
            self.finish(handle, b"x")

    def test_a_declined_context_is_used_up(self):
        request = self.wire.request()
        self.begin(request, decline=True)
        with self.refused("ContextUsed"):
            self.begin(request)


class Contexts(Authenticator):
    def test_sc11f_a_context_is_used_once_in_whatever_call(self):
        request = self.wire.request()
        context = request[5:37]
        self.make(request)
        with self.refused("ContextUsed"):
            self.begin(request)
        with self.refused("ContextUsed"):
            self.begin(self.wire.request([P256], context=context))  # the same in another request
        with self.refused("ContextUsed"):
            self.root.attest(self.session, context=context)
        attested = self.root.context()
        self.root.attest(self.session, context=attested)
        with self.refused("ContextUsed"):
            self.begin(self.wire.request(context=attested))
        self.assertEqual(self.n_reports(), 2)
        # The good twins: another context, and this one on another connection.
        self.make(self.wire.request())
        self.make(request, session=self.root.open())

    def test_a_request_under_way_has_its_context(self):
        request, answers = self.wire.request(), []
        self.tee.hold()
        self.ask(answers, request)
        self.tee.wait("held")
        for decline in False, True:
            with self.refused("ContextUsed"):
                self.begin(request, decline=decline)
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers[0][1], P256)


class Handles(Authenticator):
    def test_a_session_has_four(self):
        kept = [self.begin(self.wire.request()) for _ in range(3)] + [self.begin(self.wire.request(), decline=True)]
        request, reports = self.wire.request(), self.n_reports()
        for decline in False, True:
            with self.refused("LimitReached", "finish them"):
                self.begin(request, decline=decline)
        self.assertEqual(self.n_reports(), reports)
        self.begin(self.wire.request(), session=self.root.open())
        self.finish(kept[3][0], b"")  # makes room, and the context was not used up
        self.make(request)
        self.finish(kept[0][0], ea.sign(LEAF.key, kept[0][1], kept[0][2]))

    def test_those_being_made_count(self):
        answers = []
        self.tee.hold()
        for _ in range(4):
            self.ask(answers, self.wire.request())
        with self.refused("LimitReached", "not finished"):
            self.begin(self.wire.request(), decline=True)
        self.tee.release()
        self.assertTrue(wait_until(lambda: len(answers) == 4))
        self.assertEqual(len({handle for handle, _, _ in answers}), 4)

    def test_one_that_failed_leaves_its_place(self):
        self.tee.hold()
        for _ in range(5):
            with self.refused("TimedOut"):
                self.begin(self.wire.request(), timeout_ms=50)
        self.tee.release()
        self.make(self.wire.request())

    def test_a_handle_is_good_once(self):
        handle, scheme, tbs = self.begin(self.wire.request())
        signature = ea.sign(LEAF.key, scheme, tbs)
        self.finish(handle, signature)
        with self.refused("InvalidArgument", "no such handle"):
            self.finish(handle, signature)
        with self.refused("InvalidArgument", "no such handle"):
            self.finish(handle, b"")

    def test_a_signature_by_another_key_is_refused_and_uses_it_up(self):
        other = Leaf(ec.generate_private_key(ec.SECP256R1()), [P256])
        for leaf, bad in (
            (LEAF, lambda tbs: other.key.sign(tbs, ec.ECDSA(hashes.SHA256()))),
            (LEAF, lambda tbs: LEAF.key.sign(tbs, ec.ECDSA(hashes.SHA384()))),
            (LEAF, lambda tbs: LEAF.key.sign(tbs[:-1], ec.ECDSA(hashes.SHA256()))),
            (LEAF, lambda tbs: LEAF.key.sign(tbs, ec.ECDSA(hashes.SHA256()))[:-1]),
            (LEAF, lambda tbs: b"\0" * 2048),
            (LEAVES["ed25519"], lambda tbs: LEAF.key.sign(tbs, ec.ECDSA(hashes.SHA256()))),
        ):
            handle, scheme, tbs = self.begin(self.wire.request(), leaf=leaf)
            with self.refused("Refused", "not by the leaf's key"):
                self.finish(handle, bad(tbs))
            with self.refused("InvalidArgument", "no such handle"):
                self.finish(handle, ea.sign(leaf.key, scheme, tbs))
        self.make(self.wire.request())

    def test_arguments_are_looked_at_before_the_handle_is_used(self):
        request = self.wire.request()
        handle, scheme, tbs = self.begin(request)
        with self.refused("InvalidArgument", "signature must have"):
            self.finish(handle, bytes(2049))
        self.evidence(self.finish(handle, ea.sign(LEAF.key, scheme, tbs)), request)

    def test_a_handle_is_of_its_session(self):
        others = self.root.open(), Bus(self.guest)
        handle, scheme, tbs = self.begin(self.wire.request())
        mine = self.begin(self.wire.request(), session=others[0])[0]
        self.assertNotEqual(handle, mine)
        signature = ea.sign(LEAF.key, scheme, tbs)
        for wrong in handle, 0, mine + 1, 2**64 - 1:
            with self.refused("InvalidArgument", "no such handle"):
                self.finish(wrong, signature, session=others[0])
        stranger = others[1].open()
        with self.refused("InvalidArgument", "no such handle"):
            self.finish(handle, signature, session=stranger, bus=others[1])
        with self.refused("NoSuchSession"):
            self.finish(handle, signature, bus=others[1])
        with self.refused("NoSuchSession"):
            self.begin(self.wire.request(), bus=others[1])
        self.finish(handle, signature)  # it has lost nothing


class Ends(Authenticator):
    def test_a_session_that_is_closed_answers_and_forgets(self):
        kept = self.begin(self.wire.request())
        answers = []
        self.tee.hold()
        self.ask(answers, self.wire.request())
        self.tee.wait("held")
        self.root.close(self.session)
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers, [client.ERROR + "Cancelled"])
        with self.refused("NoSuchSession"):
            self.finish(kept[0], ea.sign(LEAF.key, kept[1], kept[2]))
        self.tee.release()
        self.session = self.root.open()
        self.make(self.wire.request())

    def test_a_caller_who_leaves_takes_all_with_it(self):
        leaver = Bus(self.guest)
        session = leaver.open()
        self.begin(self.wire.request(), session, leaver)
        self.tee.hold()
        for _ in range(3):
            self.ask([], self.wire.request(), session, leaver)
        leaver.bus.flush_sync(None)
        self.tee.wait("held")
        leaver.leave()
        self.tee.release()
        self.make(self.wire.request())

    def test_its_own_time_limit(self):
        request = self.wire.request()
        self.tee.hold()
        with self.refused("TimedOut"):
            self.begin(request, timeout_ms=50)
        self.tee.release()
        self.make(request)

    def test_sigterm_answers_what_is_begun(self):
        answers = []
        self.tee.hold()
        self.ask(answers, self.wire.request())
        self.tee.wait("held")
        self.daemon.stop(seconds=10)
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers, [client.ERROR + "Cancelled"])
        self.tee.release()
        self.daemon = self.guest.start_attestd()


class BadInput(Authenticator):
    def tearDown(self):
        self.make(self.wire.request())  # the session goes on
        super().tearDown()

    def test_requests_that_are_none(self):
        good = self.wire.request()
        for bad, says in (
            *((good[:n], "malformed-request") for n in range(1, len(good))), (good + b"\0", "malformed-request"),
            (Wire("client").request(), "unsupported-type"), (b"\x01" + good[1:], ""),
            (ea.request("client", b"x" * 32, [P256]) + good, "malformed-request"),
            (bytes(16384), ""),
        ):
            with self.refused("BadData", says):
                self.begin(bad)
            with self.refused("BadData", says):
                self.begin(bad, decline=True)
        for size in 0, 16385, 1 << 20:
            with self.refused("InvalidArgument", "request must have"):
                self.begin(bytes(size))
        self.assertEqual(self.n_reports(), 0)
        self.make(good)

    def test_wrong_lengths(self):
        request = self.wire.request()
        for size in 0, 31:
            with self.refused("InvalidArgument", "exported_value"):
                self.begin(request, exported=bytes(size))
        for size in 33, 64:
            for decline in False, True:
                with self.refused("InvalidArgument", "exported_value"):
                    self.begin(request, exported=bytes(size), decline=decline)
        for name in "handshake_context", "finished_key":
            for size in 0, 31, 33, 48, 49, 64:
                with self.refused("InvalidArgument", name):
                    self.begin(request, **{name: os.urandom(size)})
            with self.refused("InvalidArgument", "missing"):
                self.begin(request, **{name: None})
            for decline in False, True:
                with self.refused("InvalidArgument", "all zero"):
                    self.begin(request, decline=decline, **{name: bytes(32)})
        with self.refused("InvalidArgument", "handshake_context"):
            self.begin(request, self.root.open(hash="sha384"))
        self.assertEqual(self.n_reports(), 0)

    def test_certificates(self):
        request = self.wire.request()
        for certificates, says in (
            ([], "needs a certificate"), ([b""], "not one in DER"), ([LEAF.der[:-1]], "certificate 0"),
            ([LEAF.der + b"\0"], "certificate 0"), ([LEAF.der, b"x"], "certificate 1"), ([LEAF.spki], "certificate 0"),
            ([LEAF.der] * 17, "certificates has more than 16"), ([bytes(61441)], "over 61440 bytes"),
            ([LEAF.der, bytes(61440)], "over 61440 bytes in all"),
        ):
            with self.refused("InvalidArgument", says):
                self.begin(request, certificates=certificates)
        weak = Leaf(rsa.generate_private_key(65537, 1024), [])
        for leaf in weak, Leaf(ec.generate_private_key(ec.SECP521R1()), []):
            with self.assertRaises(GLib.Error):
                self.begin(request, leaf=leaf)
        self.assertEqual(self.n_reports(), 0)

    def test_options(self):
        request = self.wire.request()
        for more, says in (
            ({"timeout_ms": 0}, "timeout_ms"), ({"timeout_ms": 600001}, "timeout_ms"), ({"cmw_attestation": 0}, "code point"),
            ({"schemes": [1] * 65}, "schemes"), ({"schemes": GLib.Variant("ay", b"x")}, "schemes"),
            ({"decline": GLib.Variant("u", 1)}, "decline"), ({"finished_key": GLib.Variant("s", "x")}, "finished_key"),
        ):
            with self.refused("InvalidArgument", says):
                self.begin(request, **more)
        for name in "max_size", "report_data", "private_key", "x":
            with self.refused("UnknownOption", name):
                self.begin(request, **{name: GLib.Variant("u", 1)})
        for arguments in None, GLib.Variant("(ayayaay)", (b"", b"", [])):
            with self.refused("InvalidArgument", "BeginAuthenticator takes"):
                self.root.call(self.session, SESSION, "BeginAuthenticator", arguments)
        with self.refused("InvalidArgument", "FinishAuthenticator takes"):
            self.root.call(self.session, SESSION, "FinishAuthenticator", GLib.Variant("(uay)", (1, b"")))
        self.assertEqual(self.n_reports(), 0)

    def test_sc39e_nobody_chooses_report_data(self):
        chosen = bytes(range(32))
        request = self.wire.request(context=chosen)
        _, claims = self.evidence(self.make(request, exported=chosen), request)
        self.assertEqual(claims[10], hashlib.sha256(LEAF.spki + chosen).digest())
        self.assertNotIn(chosen, self.tee.reports()[-1])


class AtTheRelyingParty(Authenticator):
    """With the verifier's session at the other end: nothing but D-Bus on both sides."""

    def setUp(self):
        super().setUp()
        self.guest.start_verifier()
        self.policy = POLICY.format(root=self.guest.root_spki_sha256)

    def v(self, path, interface, method, *values):
        return self.root.bus.call_sync(VERIFIER, path, interface, method, *values, None, 0, 60000, None).unpack()

    def verifier(self, wire, leaf=LEAF, policy="", **more):
        parameters = {"role": wire.role, "hash": wire.hash, "policy_text": self.policy + policy}
        parameters = {k: GLib.Variant("s", v) for k, v in parameters.items()}
        parameters["handshake_key"] = GLib.Variant("ay", leaf.spki)
        parameters.update({k: GLib.Variant("ay", v) for k, v in more.items()})
        return self.v("/org/attestd/Verifier1", VERIFIER, "OpenSession", GLib.Variant("(a{sv})", (parameters,)))[0]

    def create(self, session):
        request, context = self.v(session, VERIFIER + ".Session", "CreateRequest", GLib.Variant("(a{sv})", ({},)))
        self.assertEqual(bytes(request)[5:5 + bytes(request)[4]], bytes(context))
        return bytes(request)

    def validate(self, session, made, request, wire, exported=None, keys=None):
        keys = keys or wire.keys
        options = {"handshake_context": GLib.Variant("ay", keys.context), "finished_key": GLib.Variant("ay", keys.key)}
        accepted, result = self.v(session, VERIFIER + ".Session", "Validate",
                                  GLib.Variant("(ayaya{sv})", (made, exported or wire.exported(request), options)))
        return accepted, result["reason"]

    def test_both_roles_both_hashes(self):
        for role in "server", "client":
            for hash in "sha256", "sha384":
                wire = Wire(role, hash)
                judge, session = self.verifier(wire), self.root.open(role=role, hash=hash)
                for _ in range(2):  # and renewed
                    request = self.create(judge)
                    made = self.make(request, session=session, wire=wire)
                    self.assertEqual(self.validate(judge, made, request, wire), (True, ""))

    def test_mutual(self):
        server, client_ = Wire("server"), Wire("client")
        client_.secret = server.secret
        other = LEAVES["ed25519"]
        # Each end: a session with the attester, one with the verifier.
        judges = {"client": self.verifier(server, local_key=other.spki),
                  "server": self.verifier(client_, other, local_key=LEAF.spki)}
        attesters = {"client": self.root.open(role="client"), "server": self.root.open(role="server")}
        for end, peer, wire, leaf in ("client", "server", client_, other), ("server", "client", server, LEAF):
            request = self.create(judges[peer])
            self.v(judges[end], VERIFIER + ".Session", "RecordContext", GLib.Variant("(ay)", (request[5:37],)))
            made = self.make(request, leaf, session=attesters[end], wire=wire)
            self.assertEqual(self.validate(judges[peer], made, request, wire), (True, ""))

        # SC-05 by the way: the peer's request sent back is not answered, and what answers it is refused.
        request = self.create(judges["client"])
        with self.assertRaises(GLib.Error) as caught:
            self.v(judges["client"], VERIFIER + ".Session", "RecordContext", GLib.Variant("(ay)", (request[5:37],)))
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), client.ERROR + "ContextUsed")
        made = self.make(request, session=attesters["server"], wire=server)
        accepted, reason = self.validate(judges["client"], made, request, server)
        self.assertFalse(accepted)
        self.assertIn("context", reason)

    def test_sc01_values_of_another_connection_are_refused_there(self):
        wire, other = Wire(), Wire()
        judge, session = self.verifier(wire), self.root.open()
        for more, says in (
            ({"exported": bytes(32)}, "binding"), ({"handshake_context": other.keys.context}, "certificate-verify"),
            ({"finished_key": other.keys.key}, "finished"),
            ({"handshake_context": wire.keys.key, "finished_key": wire.keys.context}, "certificate-verify"),
        ):
            request = self.create(judge)
            made = self.make(request, session=session, wire=wire, **more)  # nobody sees it here
            accepted, reason = self.validate(judge, made, request, wire)
            self.assertFalse(accepted)
            self.assertIn(says, reason)
        request = self.create(judge)
        self.assertEqual(self.validate(judge, self.make(request, session=session, wire=wire), request, wire), (True, ""))

    def test_the_refusal_is_seen_as_one(self):
        wire = Wire()
        judge, session = self.verifier(wire), self.root.open()
        request = self.create(judge)
        handle = self.begin(request, session, wire=wire, decline=True)[0]
        accepted, reason = self.validate(judge, self.finish(handle, b"", session), request, wire)
        self.assertFalse(accepted)
        self.assertIn("empty-authenticator", reason)

        # One of another connection says nothing.
        request = self.create(judge)
        handle = self.begin(request, session, wire=Wire(), decline=True)[0]
        accepted, reason = self.validate(judge, self.finish(handle, b"", session), request, wire)
        self.assertFalse(accepted)
        self.assertIn("finished", reason)


class Secrets(Authenticator):
    def memory(self):
        """What of the daemon can be read and written, as /proc has it."""
        with open(f"/proc/{self.daemon.pid}/maps") as maps, open(f"/proc/{self.daemon.pid}/mem", "rb") as memory:
            for line in maps:
                span, mode = line.split()[:2]
                start, end = (int(x, 16) for x in span.split("-"))
                if mode.startswith("rw") and end - start < 1 << 28:  # a sanitizer's tables are larger
                    memory.seek(start)
                    yield memory.read(end - start)

    def has(self, secret):
        """Its end: over the start of what was freed without care, the allocator writes."""
        return any(secret[-12:] in part for part in self.memory())

    def test_sc45a_no_secret_is_in_the_log(self):
        self.daemon.stop()
        self.daemon = self.guest.start_attestd(env={"G_MESSAGES_DEBUG": "all"})
        self.session = self.root.open()
        request = self.wire.request()
        self.make(request)
        self.begin(self.wire.request(), decline=True)
        for more in {"exported": b"x" * 31}, {"finished_key": self.wire.keys.key + b"x"}, {"timeout_ms": 0}:
            with self.refused("InvalidArgument"):
                self.begin(self.wire.request(), **more)
        handle, scheme, tbs = self.begin(self.wire.request())
        with self.refused("Refused"):
            self.finish(handle, bytes(70))
        self.daemon.stop()
        log = self.daemon.log().encode()
        self.assertIn(b"evidence of generation", log)
        for secret in self.wire.keys.context, self.wire.keys.key, self.wire.exported(request):
            for form in secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret).encode():
                self.assertNotIn(form[:8 if form is secret else 16], log)
        self.daemon = self.guest.start_attestd()

    def test_sc45c_keys_are_wiped_when_the_authenticator_is_finished(self):
        for hash in "sha256", "sha384":
            wire = Wire(hash=hash)
            session = self.root.open(hash=hash)
            handle, scheme, tbs = self.begin(wire.request(), session, wire=wire)
            self.assertTrue(self.has(wire.keys.key))  # the search finds what is there
            self.finish(handle, ea.sign(LEAF.key, scheme, tbs), session)
            self.begin(wire.request(), session, wire=wire, decline=True)
            with self.refused("InvalidArgument"):
                self.begin(wire.request(), session, wire=wire, timeout_ms=0)
            self.root.get("State")
            self.assertFalse(self.has(wire.keys.key))
            self.assertFalse(self.has(wire.keys.context))


if __name__ == "__main__":
    unittest.main()
