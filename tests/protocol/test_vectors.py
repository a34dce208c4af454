# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/vectors/: made by our code byte for byte, understood by the second implementation, and refused
by both when damaged."""
import filecmp
import hashlib
import hmac
import subprocess
import unittest

import cbor2
from cryptography.hazmat.primitives.asymmetric import ed25519

import setting
from second import Refused, appraise, cbor, describe, handshake, messages, quote, snp

INDEX = setting.index()
ROLES = {"client": 0, "server": 1}


def unhex(text):
    return bytes.fromhex(text)


def expand_label(hash_name, secret, label, context, size):
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\1", hash_name)[:size]


def exporter(hash_name, secret, label, context, size):
    """RFC 8446 section 7.5"""
    empty = hashlib.new(hash_name).digest()
    derived = expand_label(hash_name, secret, label, empty, len(empty))
    return expand_label(hash_name, derived, b"exporter", hashlib.new(hash_name, context).digest(), size)


def expected_of(entry):
    """The relying party's own state of an appraisal in the index."""
    got = appraise.Expected(at=entry["at"], policy=setting.vector(entry["policy"]), batch=entry.get("batch", False))
    if "report_data" in entry:
        got.report_data = unhex(entry["report_data"])
    if "binding" in entry:
        got.binding, got.hash, got.role = unhex(entry["binding"]), entry["hash"], ROLES[entry["role"]]
    return got


def options_of(entry):
    """The same for attestctl verify."""
    got = ["--at", entry["at"], "--policy", setting.VECTORS / entry["policy"]] + ["--batch"] * entry.get("batch", False)
    if "report_data" in entry:
        got += ["--report-data", entry["report_data"]]
    if "binding" in entry:
        got += ["--binding", entry["binding"], "--hash", entry["hash"], "--role", entry["role"]]
    return got


ACCEPTED = next(a for a in INDEX["appraisals"] if a["accepted"])
ACCEPTED_SNP = next(a for a in INDEX["appraisals"] if a["evidence"] == "evidence-snp.cbor" and a["accepted"])


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def collection(claims, blob, proof=None):
    """Evidence with these parts, by the second implementation."""
    report = cbor.dump({"provider": "tdx_guest", "outblob": blob})
    members = {"__cmwc_t": messages.EVIDENCE, "claims": [messages.CLAIMS_TYPE, claims, 4],
               "tee": [messages.TSM_CBOR, report, 4]}
    if proof is not None:
        members["proof"] = ["application/vnd.attestd.inclusion-proof+cbor", proof, 4]
    return cbor.dump(members)


def collection_of_snp(claims, blob, table):
    report = cbor.dump({"provider": "sev_guest", "outblob": blob, "auxblob": table})
    return cbor.dump({"__cmwc_t": messages.EVIDENCE, "claims": [messages.CLAIMS_TYPE, claims, 4],
                      "tee": [messages.TSM_CBOR, report, 4]})


class Made(unittest.TestCase):
    def test_our_code_makes_the_same_bytes(self):
        with setting.temporary() as out:
            subprocess.run([setting.MAKE_VECTORS, setting.VECTORS, out], check=True)
            compared = filecmp.dircmp(setting.VECTORS, out, ignore=["README.md"])
            self.assertEqual((compared.left_only, compared.right_only), ([], []))
            _, different, unreadable = filecmp.cmpfiles(setting.VECTORS, out, compared.common_files, shallow=False)
            self.assertEqual((different, unreadable), ([], []), "see tests/protocol/renew-quotes.sh")


class Connections(unittest.TestCase):
    def test_exporter_values_and_bindings(self):
        spki = unhex(INDEX["leaf"]["spki"])
        self.assertEqual(handshake.raw_spki(setting.vector("leaf.der")), spki)
        for name, c in INDEX["connections"].items():
            secret = unhex(c["exporter_master_secret"])
            size = hashlib.new(name).digest_size
            exported = exporter(name, secret, b"Attestation", unhex(c["context"]), 32)
            self.assertEqual(exported.hex(), c["exported"])
            self.assertEqual(handshake.binding(name, spki, exported).hex(), c["binding"])
            for role in ROLES:
                for what in "handshake_context", "finished_key":
                    label = f"EXPORTER-{role} authenticator {what.replace('_', ' ')}".encode()
                    self.assertEqual(exporter(name, secret, label, b"", size).hex(), c[f"{role}_{what}"])


class Claims(unittest.TestCase):
    def test_are_read_alike(self):
        for name, entry in INDEX["claims"].items():
            with self.subTest(name):
                self.assertEqual(describe.claims(setting.vector(name)), entry["claims"])

    def test_are_deterministic(self):
        for name in INDEX["claims"]:
            data = setting.vector(name)
            item = cbor.load(data)
            self.assertEqual(cbor.dump(item), data)
            theirs = cbor2.loads(data)
            self.assertEqual((theirs.tag, theirs.value), (item.number, item.value))

    def test_give_report_data(self):
        for name, entry in INDEX["claims"].items():
            got = appraise.report_data(messages.EVIDENCE, setting.vector(name), None, None)
            self.assertEqual(got.hex(), entry["report_data"])

    def test_every_proper_prefix_is_refused(self):
        for name in INDEX["claims"]:
            data = setting.vector(name)
            prefixes = [data[:n] for n in range(len(data))]
            for p in prefixes:
                with self.assertRaises(Refused):
                    messages.claims(p)
            self.assertEqual(setting.decode([("claims", p) for p in prefixes]), [None] * len(prefixes))

    def test_another_encoding_of_the_same_is_refused(self):
        data = setting.vector("claims-minimal.cbor")
        iat, rest = data[:4], data[4:]
        self.assertEqual(iat[3:4] + rest[:1], b"\xa7\x06")
        others = {
            "tag in eight bytes": b"\xdb" + (601).to_bytes(8, "big") + data[3:],
            "indefinite map": data[:3] + b"\xbf" + rest + b"\xff",
            "key in two bytes": data[:4] + b"\x18\x06" + rest[1:],
            "a byte more": data + b"\0",
            "no tag": data[3:],
            "another tag": b"\xd9\x02\x5a" + data[3:],
        }
        item = cbor.load(data)
        keys = sorted(item.value, key=cbor.dump)
        pairs = [cbor.dump(k) + cbor.dump(item.value[k]) for k in keys]
        others["keys out of order"] = data[:4] + b"".join(pairs[1:] + pairs[:1])
        others["a key twice"] = data[:3] + b"\xa8" + pairs[0] + b"".join(pairs)
        for name, other in others.items():
            with self.subTest(name):
                self.assertIsNotNone(setting.decode([("claims", data)])[0])
                self.assertEqual(setting.decode([("claims", other)]), [None])
                with self.assertRaises(Refused):
                    messages.claims(other)

    def test_every_changed_byte_is_refused(self):
        """Whatever C says after the change: R does not follow from it any more."""
        claims, blob = setting.vector("claims-unit.cbor"), setting.vector("quote-unit.bin")
        self.assertEqual(collection(claims, blob), setting.vector("evidence.cbor"))
        self.assertTrue(appraise.appraise(collection(claims, blob), expected_of(ACCEPTED)).accepted)
        self.assertEqual(setting.verify(collection(claims, blob), *options_of(ACCEPTED))[0], 0)
        for at in range(len(claims)):
            evidence = collection(flipped(claims, at), blob)
            got = appraise.appraise(evidence, expected_of(ACCEPTED))
            self.assertFalse(got.accepted, at)
            status, result = setting.verify(evidence, *options_of(ACCEPTED))
            self.assertEqual((status, result["accepted"]), (1, False), at)
            self.assertEqual(result["reason"].partition(":")[0], got.failed, at)


class Proofs(unittest.TestCase):
    ACCEPTED = next(a for a in INDEX["appraisals"] if a["evidence"] == "evidence-batch.cbor" and a["accepted"])

    def test_are_read_alike(self):
        for name, entry in INDEX["proofs"].items():
            with self.subTest(name):
                data = setting.vector(name)
                self.assertEqual(setting.decode([("proof", data)]), [entry["proof"]])
                if entry["proof"] is None:
                    with self.assertRaises(Refused):
                        messages.proof(data)
                    continue
                self.assertEqual(describe.proof(data), entry["proof"])
                self.assertEqual(cbor.dump(cbor.load(data)), data)
                r = appraise.report_data(messages.EVIDENCE, setting.vector(entry["claims"]), None, None,
                                         messages.proof(data))
                self.assertEqual(r.hex(), entry["report_data"])

    def test_every_proper_prefix_is_refused(self):
        data = setting.vector("proof.cbor")
        prefixes = [data[:n] for n in range(len(data))]
        for p in prefixes:
            with self.assertRaises(Refused):
                messages.proof(p)
        self.assertEqual(setting.decode([("proof", p) for p in prefixes]), [None] * len(prefixes))

    def test_every_changed_byte_is_refused(self):
        """Of the proof, and of the claims that it is of."""
        claims, proof = setting.vector("claims-unit.cbor"), setting.vector("proof.cbor")
        blob = setting.vector("quote-batch.bin")
        self.assertEqual(collection(claims, blob, proof), setting.vector("evidence-batch.cbor"))
        changed = [(claims, flipped(proof, at)) for at in range(0, len(proof), 2)]
        changed += [(flipped(claims, at), proof) for at in range(0, len(claims), 9)]
        for c, p in changed:
            evidence = collection(c, blob, p)
            got = appraise.appraise(evidence, expected_of(self.ACCEPTED))
            self.assertFalse(got.accepted, p.hex())
            status, result = setting.verify(evidence, *options_of(self.ACCEPTED))
            self.assertEqual((status, result["accepted"]), (1, False), p.hex())
            self.assertEqual(result["reason"].partition(":")[0], got.failed, p.hex())


class Carriage(unittest.TestCase):
    def test_evidence_is_read_alike(self):
        for name, entry in INDEX["evidence"].items():
            with self.subTest(name):
                got = messages.evidence(setting.vector(name))
                self.assertEqual(got.profile, entry["profile"])
                self.assertEqual(got.claims, entry["claims"] and setting.vector(entry["claims"]))
                self.assertEqual(got.proof, setting.vector(entry["proof"]) if "proof" in entry else None)
                self.assertEqual(got.tee.provider, entry["provider"])
                self.assertEqual(got.tee.outblob, setting.vector(entry["quote"]))
                self.assertEqual(setting.decode([("evidence", setting.vector(name))]),
                                 [describe.evidence(setting.vector(name))])

    def test_reports_are_read_alike(self):
        for name, entry in INDEX["tsm_reports"].items():
            with self.subTest(name):
                got = describe.report(messages.tsm_report(messages.TSM_CBOR, setting.vector(name)))
                self.assertEqual({k: v for k, v in got.items() if v is not None}, entry)

    def test_quote_is_read_alike(self):
        for name, entry in INDEX["quotes"].items():
            got = quote.parse(setting.vector(name))
            self.assertEqual(got.version, entry["version"])
            for field, value in got.body.items():
                self.assertEqual(value.hex(), entry[field])
            chain = quote.order(quote.certificates(got.pem))
            self.assertEqual(quote.ppid(quote.sgx_extension(chain[0])).hex(), entry["ppid"])


    def test_report_is_read_alike(self):
        for name, entry in INDEX["reports"].items():
            got = snp.parse(setting.vector(name))
            self.assertEqual(got.version, entry["version"])
            for field, value in got.body.items():
                if isinstance(entry.get(field), str) and isinstance(value, bytes):
                    self.assertEqual(value.hex(), entry[field], field)
            self.assertEqual(hex(got.body["policy"]), entry["policy"])


class Frames(unittest.TestCase):
    READ = {"hello": lambda p: {**describe.hello(p), "version": int(describe.hello(p)["version"])},
            "accepted": lambda p: {"context": messages.accepted(p).hex()}, "refused": describe.refused,
            "stale": lambda p: {**describe.stale(p), "generation": int(describe.stale(p)["generation"])},
            "log-request": lambda p: {**describe.log_request(p), "from": int(describe.log_request(p)["from"])},
            "log-entries": lambda p: {**describe.log_entries(p), "first": int(describe.log_entries(p)["first"])}}

    def test_are_read_alike(self):
        for name, entry in INDEX["frames"].items():
            with self.subTest(name):
                [(kind, payload)] = messages.frames(setting.vector(name))
                self.assertEqual(messages.FRAMES.index(kind), entry["type"])
                if "fields" in entry:
                    self.assertEqual(self.READ[kind](payload), entry["fields"])

    def test_damaged_ones_are_treated_alike(self):
        lines = []
        for name, entry in INDEX["frames"].items():
            [(kind, payload)] = messages.frames(setting.vector(name))
            if "fields" in entry:
                lines += [(kind, payload[:n]) for n in range(len(payload))]
                lines += [(kind, flipped(payload, at)) for at in range(len(payload))]
            lines += [("frame-header", flipped(setting.vector(name), at)[:5]) for at in range(5)]
        for (kind, data), theirs in zip(lines, setting.decode(lines)):
            try:
                ours = describe.KINDS[kind](data)
            except Refused:
                ours = None
            self.assertEqual(ours, theirs, (kind, data.hex()))


class Authenticators(unittest.TestCase):
    def keys(self, entry, role="server"):
        c = INDEX["connections"][entry["connection"]]
        return (entry["connection"], unhex(c[f"{role}_handshake_context"]), unhex(c[f"{role}_finished_key"]),
                setting.vector(entry["request"]))

    def test_requests(self):
        for name, kind in ("request-client.bin", 17), ("request-server.bin", 13), ("request-client-sha384.bin", 17):
            got = handshake.request(setting.vector(name))
            self.assertEqual(got.kind, kind)
            self.assertEqual(got.extensions[handshake.CODE_POINT], b"")
            connection = INDEX["connections"]["sha384" if "sha384" in name else "sha256"]
            self.assertEqual(got.context.hex(), connection["context"])

    def test_are_valid(self):
        for name, entry in INDEX["authenticators"].items():
            with self.subTest(name):
                got = handshake.validate(*self.keys(entry), setting.vector(name))
                self.assertEqual(got.spki.hex(), INDEX["leaf"]["spki"])
                self.assertEqual(got.chain, [setting.vector("leaf.der")])
                self.assertEqual(got.cmw, setting.vector(entry["evidence"]))
                leaf = ed25519.Ed25519PublicKey.from_public_bytes(got.spki[-32:])
                leaf.verify(unhex(entry["signature"]), unhex(entry["to_be_signed"]))

    def test_the_empty_one_is_authenticated_and_no_success(self):
        for entry in INDEX["authenticators"].values():
            hash_name, context, key, request = self.keys(entry)
            data = setting.vector(entry["empty"])
            certificate = b"\x0b\0\0\x24\x20" + handshake.request(request).context + b"\0\0\0"
            mac = hmac.digest(key, hashlib.new(hash_name, context + request + certificate).digest(), hash_name)
            self.assertEqual(data, b"\x14\0\0" + bytes([len(mac)]) + mac)
            with self.assertRaisesRegex(Refused, "^empty-authenticator: "):
                handshake.validate(hash_name, context, key, request, data)

    def test_of_another_role_or_connection_is_refused(self):
        entry = INDEX["authenticators"]["authenticator.bin"]
        data = setting.vector("authenticator.bin")
        with self.assertRaisesRegex(Refused, "^(certificate-verify|finished): "):
            handshake.validate(*self.keys(entry, "client"), data)
        hash_name, context, key, _ = self.keys(entry)
        with self.assertRaisesRegex(Refused, "^certificate-verify: "):
            handshake.validate(hash_name, context, key, setting.vector("request-server.bin"), data)

    def test_every_changed_byte_is_refused(self):
        entry = INDEX["authenticators"]["authenticator.bin"]
        data = setting.vector("authenticator.bin")
        for at in [*range(0, 400), *range(400, len(data), 7), *range(len(data) - 120, len(data))]:
            with self.assertRaises(Refused, msg=at):
                handshake.validate(*self.keys(entry), flipped(data, at))


class Appraisals(unittest.TestCase):
    def test_verdicts_and_reasons(self):
        for i, entry in enumerate(INDEX["appraisals"]):
            with self.subTest(i=i, evidence=entry["evidence"], policy=entry["policy"]):
                data = setting.vector(entry["evidence"])
                got = appraise.appraise(data, expected_of(entry))
                self.assertEqual((got.accepted, got.failed), (entry["accepted"], entry.get("failed")), got.checks)
                status, result = setting.verify(data, *options_of(entry))
                self.assertEqual(status, 0 if entry["accepted"] else 1)
                self.assertEqual(result["accepted"], entry["accepted"])
                self.assertEqual(result["reason"].partition(":")[0], entry.get("failed", ""))
                self.assertEqual([c["name"] for c in result["checks"]], list(appraise.ORDER))

    def test_both_agree_on_each_check(self):
        for entry in INDEX["appraisals"]:
            data = setting.vector(entry["evidence"])
            ours = appraise.appraise(data, expected_of(entry)).checks
            theirs = {c["name"]: c["status"] for c in setting.verify(data, *options_of(entry))[1]["checks"]}
            for name, (passed, _) in ours.items():
                if not passed:
                    self.assertEqual(theirs[name], "failed", (entry, name))
            for name, status in theirs.items():
                if status == "failed" and "policy" not in (entry.get("failed"), ):
                    self.assertFalse(ours[name][0], (entry, name))

    def test_each_signed_byte_class_is_protected(self):
        """A changed byte anywhere in what is signed, or signs: refused, and for the reason that it has."""
        blob = setting.vector("quote-unit.bin")
        q = quote.parse(blob)
        signature = len(q.signed) + 4
        qe = signature + 64 + 64 + 6
        auth = qe + 384 + 64 + 2
        pem = blob.index(b"-----BEGIN")
        cases = [(at, None) for at in range(12, 28)]                                 # the vendor of the QE
        cases += [(at, "quote-signature") for at in (*range(28, 48), *range(48, 520 + 48, 13))]
        cases += [(at, "attributes") for at in (*range(48 + 64, 48 + 112, 7), *range(48 + 112, 48 + 120))]  # the module
        cases += [(at, "attributes") for at in range(48 + 121, 48 + 128)]            # the TD; its first byte is debug
        cases += [(at, "report-data") for at in range(520 + 48, 584 + 48, 5)]
        cases += [(at, "quote-signature") for at in range(signature, signature + 64, 3)]
        cases += [(at, "quote-signature") for at in range(signature + 64, signature + 128, 5)]
        cases += [(at, "qe-report-signature") for at in range(qe, qe + 384, 11)]
        cases += [(at, "qe-report-signature") for at in range(qe + 384, qe + 448, 5)]
        cases += [(at, "qe-binding") for at in range(auth, auth + len(q.auth_data), 5)]
        cases += [(at, None) for at in range(pem + 40, pem + len(q.pem) - 40, 97)]
        claims = setting.vector("claims-unit.cbor")
        for at, name in cases:
            evidence = collection(claims, flipped(blob, at))
            ours = appraise.appraise(evidence, expected_of(ACCEPTED))
            status, theirs = setting.verify(evidence, *options_of(ACCEPTED))
            self.assertEqual((ours.accepted, status), (False, 1), at)
            self.assertEqual(theirs["reason"].partition(":")[0], ours.failed, at)
            if name:
                failed = [c["name"] for c in theirs["checks"] if c["status"] == "failed"]
                self.assertIn(name, failed, at)

    def both(self, evidence, entry):
        """Both appraise; -> the checks that fail, the same by both, but for what one has not come to."""
        ours = appraise.appraise(evidence, expected_of(entry))
        status, theirs = setting.verify(evidence, *options_of(entry))
        self.assertEqual(ours.accepted, status == 0, theirs["reason"])
        self.assertEqual(theirs["reason"].partition(":")[0], ours.failed or "")
        return [c["name"] for c in theirs["checks"] if c["status"] == "failed"]

    def test_each_signed_byte_class_of_a_report_is_protected(self):
        blob, table = setting.vector("report-unit.bin"), setting.vector("table-unit.bin")
        claims = setting.vector("claims-unit.cbor")
        self.assertEqual(self.both(collection_of_snp(claims, blob, table), ACCEPTED_SNP), [])
        cases = [(at, "quote-signature") for at in (*range(4, 8), *range(8, 48, 11), 56, 63, *range(144, 384, 37),
                                                    *range(416, 504, 17))]
        cases += [(at, "vmpl") for at in range(48, 52)] + [(at, "quote-format") for at in (0, 52, 0x4c, 0x18b, 0x208)]
        cases += [(at, "report-data") for at in range(80, 144, 21)]
        cases += [(at, "vek-tcb") for at in range(384, 392)] + [(0x189, "quote-signature"), (0x1a0, "vek-identity")]
        cases += [(at, "quote-signature") for at in range(672, 816, 23)] + [(at, "quote-format") for at in (816, 1183)]
        for at, name in cases:
            evidence = collection_of_snp(claims, flipped(blob, at), table)
            failed = self.both(evidence, ACCEPTED_SNP)
            self.assertTrue(failed, at)
            if at != 0x1eb and at != 0x1ef and "quote-format" not in failed:
                self.assertIn(name, failed, at)

    def test_each_byte_of_a_table_that_matters_is_noticed(self):
        """Heads of entries, and the certificates in them: refused by both, for the same reason."""
        blob, table = setting.vector("report-unit.bin"), setting.vector("table-unit.bin")
        claims = setting.vector("claims-unit.cbor")
        head = 24 * 4
        for at in (*range(0, head, 3), *range(head, len(table), 173)):
            self.both(collection_of_snp(claims, blob, flipped(table, at)), ACCEPTED_SNP)
        for size in (*range(1, 120, 7), len(table) - 1):
            self.assertEqual(self.both(collection_of_snp(claims, blob, table[:size]), ACCEPTED_SNP)[0], "vek-chain")

    def test_sc25d_both_agree_on_each_attribute(self):
        """Every bit, with SEPT_VE_DISABLE and without: no policy takes an unknown one; the weak ones need their lines."""
        def weaknesses(attributes):
            return {name for name, there in (("sept-ve-disable-off", not attributes >> 28 & 1),
                                             ("migratable", attributes >> 29 & 1)) if there}

        blob, claims = bytearray(setting.vector("quote-unit.bin")), setting.vector("claims-unit.cbor")
        for policy, taken in (("any.policy", set()), ("no-migration.policy", {"sept-ve-disable-off"}),
                              ("weak.policy", {"sept-ve-disable-off", "migratable"})):
            entry = {**ACCEPTED, "policy": policy}
            for bit in range(64):
                for attributes in sorted({1 << bit, 1 << bit | 1 << 28}):
                    with self.subTest(policy=policy, attributes=hex(attributes)):
                        blob[168:176] = attributes.to_bytes(8, "little")
                        evidence = collection(claims, bytes(blob))
                        good = bit in (0, 28, 29, 30, 63) and weaknesses(attributes) <= taken
                        ours = appraise.appraise(evidence, expected_of(entry)).checks
                        _, result = setting.verify(evidence, *options_of(entry))
                        theirs = {c["name"]: c["status"] == "passed" for c in result["checks"]}
                        for name, passes in ("attributes", good), ("debug", bit != 0):
                            self.assertEqual((ours[name][0], theirs[name]), (passes, passes), name)

    def test_trailing_bytes_of_a_quote_are_ignored(self):
        for tail in b"\0" * 3065, b"Z" * 39:
            evidence = collection(setting.vector("claims-unit.cbor"), setting.vector("quote-unit.bin") + tail)
            self.assertTrue(appraise.appraise(evidence, expected_of(ACCEPTED)).accepted)
            self.assertEqual(setting.verify(evidence, *options_of(ACCEPTED))[0], 0)

    def test_a_whole_exchange(self):
        for name, entry in INDEX["authenticators"].items():
            c = INDEX["connections"][entry["connection"]]
            connection = appraise.Connection(
                hash=entry["connection"], handshake_context=unhex(c["server_handshake_context"]),
                finished_key=unhex(c["server_finished_key"]), exported=unhex(c["exported"]), role=1,
                request=setting.vector(entry["request"]))
            expected = appraise.Expected(at=ACCEPTED["at"], policy=setting.vector("any.policy"),
                                         profile=messages.EVIDENCE)
            got = appraise.appraise_authenticator(setting.vector(name), connection, expected)
            self.assertTrue(got.accepted, got.checks)
            self.assertEqual(got.checks["key-hash"], (True, ""))

            # Without a name for the peer, and a policy that wants one.
            expected.policy = setting.vector("no-name.policy")
            self.assertEqual(appraise.appraise_authenticator(setting.vector(name), connection, expected).failed,
                             "peer-name")
            connection.peer_key = unhex(INDEX["leaf"]["spki"])
            self.assertTrue(appraise.appraise_authenticator(setting.vector(name), connection, expected).accepted)

            # Relayed: the same bytes on another connection, were its MAC right.
            connection.exported = bytes(32)
            self.assertEqual(appraise.appraise_authenticator(setting.vector(name), connection, expected).failed,
                             "binding")


if __name__ == "__main__":
    unittest.main()
