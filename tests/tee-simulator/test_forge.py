#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_forge.py TDX-FORGE: are the forged quotes right, and wrong in one thing only?

A verifier of its own, by Intel's documents and with another library than the
project's: what both accept is a quote, and not just what one program writes and
reads.
"""

import datetime
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

FORGE = sys.argv.pop(1)

REPORT_DATA = bytes(range(64))
NOW = datetime.datetime(2026, 11, 1)
INTEL_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
INTEL_QE_SIGNER = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
INTEL_ROOT_SPKI = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"
SGX = "1.2.840.113741.1.13.1"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise ValueError("too short")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


def der(data):
    """The TLVs in data, as (tag, content)."""
    r, found = Reader(data), []
    while r.at < len(data):
        tag, size = r.take(1)[0], r.take(1)[0]
        if size & 0x80:
            size = int.from_bytes(r.take(size & 0x7F), "big")
        found.append((tag, r.take(size)))
    return found


def oid_text(content):
    arcs, value = [content[0] // 40, content[0] % 40], 0
    for byte in content[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    return ".".join(map(str, arcs))


def sgx_extensions(certificate):
    """{last arcs: content}, such as "1" for the PPID and "2.17" for the PCESVN."""
    found = {}

    def walk(content):
        for tag, pair in der(content):
            (_, name), (kind, value) = der(pair)
            arcs = oid_text(name)[len(SGX) + 1 :]
            if kind == 0x30:
                walk(value)
            else:
                found[arcs] = value

    value = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX)).value.value
    ((_, sequence),) = der(value)
    walk(sequence)
    return found


def extensions(certificate):
    """Which there are, and which are critical."""
    return {(e.oid.dotted_string, e.critical) for e in certificate.extensions}


def p256(point):
    x, y = (int.from_bytes(point[i : i + 32], "big") for i in (0, 32))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def signed_by(key, signature, data):
    try:
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False


def issued_by(certificate, issuer):
    try:
        issuer.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(certificate.signature_hash_algorithm)
        )
        return certificate.issuer == issuer.subject
    except InvalidSignature:
        return False


def spki_sha256(certificate):
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


class Quote:
    """Parsed, and judged: `wrong` holds what is not as it has to be."""

    def __init__(self, data, root_spki):
        self.wrong = set()
        r = Reader(data)
        self.version, key_type = r.number(2), r.number(2)
        tee_type = r.number(4)
        r.take(4)
        vendor = r.take(16)
        r.take(20)
        if self.version not in (4, 5):
            self.wrong.add("version")
            return
        self.check("key-type", key_type == 2)
        self.check("tee-type", tee_type == 0x81)
        self.check("qe-vendor", vendor == INTEL_QE_VENDOR)
        size = 584
        if self.version == 5:
            self.body_type, size = r.number(2), r.number(4)
            self.check("body", (self.body_type, size) in ((2, 584), (3, 648)))
        self.body = r.take(size)
        self.check("debug", self.body[120] & 1 == 0)
        signed = data[: r.at]

        s = Reader(r.take(r.number(4)))
        self.trailing = data[r.at :]
        signature, point = s.take(64), s.take(64)
        self.check("signature", signed_by(p256(point), signature, signed))
        self.certification, content = s.number(2), s.take(s.number(4))
        self.check("slack", s.at == len(s.data))
        self.chain = []
        self.check("certification", self.certification == 6)
        if self.certification == 6:
            self.judge_certification(Reader(content), point, root_spki)

    def check(self, what, is_right):
        if not is_right:
            self.wrong.add(what)

    def judge_certification(self, c, point, root_spki):
        report, signature = c.take(384), c.take(64)
        auth = c.take(c.number(2))
        self.check("auth-size", len(auth) == 32)
        kind, pem = c.number(2), c.take(c.number(4))
        self.check("inner-certification", kind == 5)
        self.pem = pem
        self.check("qe-binding", report[320:] == hashlib.sha256(point + auth).digest() + bytes(32))
        self.check("qe-debug", report[48] & 2 == 0)
        self.check("qe-mrsigner", report[128:160] == INTEL_QE_SIGNER)
        self.check("qe-prodid", struct.unpack_from("<H", report, 256)[0] == 2)

        texts = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.S)
        self.chain = [x509.load_pem_x509_certificate(t) for t in texts]
        self.judge_chain(report, signature, root_spki)

    def judge_chain(self, report, signature, root_spki):
        if len(self.chain) != 3:
            self.wrong.add("chain")
            return
        pck, platform, root = self.chain
        self.check("order", "PCK Certificate" in pck.subject.rfc4514_string())
        if "order" in self.wrong and "Root" in pck.subject.rfc4514_string():
            root, platform, pck = self.chain
        self.check("root", spki_sha256(root) == root_spki)
        self.check("issued", issued_by(pck, platform) and issued_by(platform, root) and issued_by(root, root))
        for certificate in root, platform:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
            self.check("ca", constraints.value.ca and constraints.critical)
        self.check("leaf", not pck.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        self.check("validity", all(c.not_valid_before <= NOW <= c.not_valid_after for c in self.chain))
        self.check("qe-signature", signed_by(pck.public_key(), signature, report))
        try:
            self.sgx = sgx_extensions(pck)
        except x509.ExtensionNotFound:
            self.wrong.add("sgx")


WRONG = {
    "none": set(),
    "wrong-signer": {"signature"},
    "bad-signature": {"signature"},
    "zero-signature": {"signature"},
    "qe-not-binding": {"qe-binding"},
    "qe-wrong-signer": {"qe-signature"},
    "qe-debug": {"qe-debug"},
    "qe-mrsigner": {"qe-mrsigner"},
    "qe-prodid": {"qe-prodid"},
    "qe-vendor": {"qe-vendor"},
    "self-signed": {"chain"},
    "other-root": {"root"},
    "expired-pck": {"validity"},
    "future-pck": {"validity"},
    "pck-name": {"order"},
    "pck-extension": {"sgx"},
    "platform-not-ca": {"ca"},
    "swapped-chain": {"order"},
    "no-chain": {"chain"},
    "no-root": {"chain"},
    "certification-5": {"certification"},
    "certification-1": {"certification"},
    "tee-type": {"tee-type"},
    "key-type": {"key-type"},
    "version": {"version"},
}


class Forge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.state = pathlib.Path(cls.folder.name)
        cls.forge()
        cls.root_spki = (cls.state / "root-spki-sha256").read_text().strip()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def forge(cls, *fields, report_data=REPORT_DATA, more=()):
        return subprocess.run(
            [FORGE, "--state", cls.state, "--report-data", report_data.hex(), *more, *fields],
            check=True, capture_output=True,
        ).stdout

    def quote(self, *fields, **keywords):
        return Quote(self.forge(*fields, **keywords), self.root_spki)

    def test_every_form_of_quote_verifies(self):
        for fields, size in ((["version=4"], 584), (["version=5"], 584), (["version=5", "body=1.5"], 648)):
            quote = self.quote(*fields)
            self.assertEqual(quote.wrong, set())
            self.assertEqual((len(quote.body), quote.body[520:584]), (size, REPORT_DATA))
            self.assertEqual(quote.trailing, b"")

    def test_each_flaw_is_the_only_one(self):
        text = subprocess.run([FORGE, "--help"], capture_output=True, text=True, check=True).stdout
        flaws = re.findall(r"^  (\S+) ", text[text.index("flaws:") :], re.M)
        self.assertEqual(set(flaws), set(WRONG))
        for flaw in flaws:
            for version in "4", "5":
                with self.subTest(flaw=flaw, version=version):
                    self.assertEqual(self.quote(f"version={version}", f"flaw={flaw}").wrong, WRONG[flaw])

    def test_a_self_signed_pck_is_right_in_all_else(self):
        (pck,) = self.quote("flaw=self-signed").chain
        self.assertTrue(issued_by(pck, pck))

    def test_debug_is_seen(self):
        self.assertEqual(self.quote("debug=1").wrong, {"debug"})
        self.assertEqual(self.quote("tdattributes=0100000000000000").wrong, {"debug"})

    def test_fields_are_where_they_belong(self):
        places = {
            "tee_tcb_svn": (0, 16), "mrseam": (16, 48), "mrsignerseam": (64, 48), "seamattributes": (112, 8),
            "xfam": (128, 8), "mrtd": (136, 48), "mrconfigid": (184, 48), "mrowner": (232, 48),
            "mrownerconfig": (280, 48), "rtmr0": (328, 48), "rtmr1": (376, 48), "rtmr2": (424, 48),
            "rtmr3": (472, 48), "tee_tcb_svn2": (584, 16), "mrservicetd": (600, 48),
        }
        values = {name: os.urandom(size) for name, (_, size) in places.items()}
        quote = self.quote("version=5", "body=1.5", *(f"{n}={v.hex()}" for n, v in values.items()))
        self.assertEqual(quote.wrong, set())
        for name, (at, size) in places.items():
            self.assertEqual(quote.body[at : at + size], values[name], name)

    def test_the_sgx_extensions_are_those_of_a_real_pck(self):
        ppid, tcb = os.urandom(16), bytes(range(120, 136))
        quote = self.quote(f"ppid={ppid.hex()}", f"tcb={tcb.hex()}", "pcesvn=0100", "fmspc=00906ed50000", "pceid=0001")
        sgx = quote.sgx
        self.assertEqual(
            set(sgx), {"1", *(f"2.{i}" for i in range(1, 19)), "3", "4", "5", "6", "7.1", "7.2", "7.3"}
        )
        self.assertEqual((sgx["1"], sgx["3"], sgx["4"]), (ppid, b"\0\1", bytes.fromhex("00906ed50000")))
        self.assertEqual([int.from_bytes(sgx[f"2.{i}"], "big") for i in range(1, 17)], list(tcb))
        self.assertEqual(sgx["2.8"], b"\x7f")
        self.assertEqual(sgx["2.9"], b"\0\x80")  # an INTEGER of 128 is positive
        self.assertEqual(int.from_bytes(sgx["2.17"], "big"), 256)

    def test_names_do_not_claim_to_be_intels_root(self):
        pck, platform, root = self.quote().chain
        self.assertIn("CN=Test SGX Root CA", root.subject.rfc4514_string())
        self.assertIn("CN=Test SGX PCK Platform CA", platform.subject.rfc4514_string())
        self.assertIn("CN=Intel SGX PCK Certificate", pck.subject.rfc4514_string())
        self.assertNotIn("Intel Corporation", pck.issuer.rfc4514_string())

    def test_trailing_bytes_and_nul(self):
        quote = self.quote(more=["--trailing", "3065"])
        self.assertEqual((quote.wrong, quote.trailing), (set(), bytes(3065)))
        self.assertEqual(self.quote(more=["--trailing=-39"]).trailing, b"\x5a" * 39)
        self.assertTrue(self.quote("pem-nul=1").pem.endswith(b"-----END CERTIFICATE-----\n\0"))

    def test_one_state_is_one_root_and_another_is_another(self):
        self.assertEqual(self.quote().wrong, set())
        with tempfile.TemporaryDirectory() as other:
            data = subprocess.run([FORGE, "--state", other], check=True, capture_output=True).stdout
            self.assertEqual(Quote(data, self.root_spki).wrong, {"root"})
            self.assertEqual(oct(os.stat(f"{other}/root.key").st_mode & 0o777), "0o600")

    def test_this_verifier_accepts_real_quotes_and_they_look_the_same(self):
        vectors = pathlib.Path(__file__).resolve().parents[3] / "shared/vectors/tdx"
        names = sorted(vectors.glob("quote-v[45]-*-google-go-tdx-guest-*.bin")) + sorted(vectors.glob("quote-v5-*.bin"))
        if not names:
            self.skipTest("the collection of real quotes is not here")
        ours = self.quote()
        for name in names:
            real = Quote(name.read_bytes(), INTEL_ROOT_SPKI)
            with self.subTest(name.name):
                self.assertLessEqual(real.wrong, {"validity", "root"})  # old, or of Intel's trial root
                self.assertEqual(set(real.sgx), set(ours.sgx))
                for one, other in zip(real.chain, ours.chain):
                    self.assertEqual(extensions(one), extensions(other))

    def test_a_flipped_bit_anywhere_shows(self):
        good = self.forge()
        signed = list(range(0, 636)) + list(range(636 + 128 + 6, 636 + 128 + 6 + 384 + 64))
        for at in signed[::7]:
            bad = bytearray(good)
            bad[at] ^= 0x20
            try:
                self.assertNotEqual(Quote(bytes(bad), self.root_spki).wrong, set(), at)
            except ValueError:
                pass  # no point of the curve, or lengths that do not fit

    def test_usage(self):
        for arguments, status in (
            (["colour=red"], 2), (["mrtd=00"], 2), (["mrtd"], 2), (["flaw=many"], 2), (["body=1.5"], 2),
            (["--report-data", "00"], 2), (["--report-data", "zz" * 64], 2), (["--state", "/nowhere"], 1),
            (["--nonsense"], 2),
        ):
            result = subprocess.run([FORGE, *arguments], capture_output=True)
            self.assertEqual((result.returncode, result.stdout), (status, b""), arguments)
            self.assertTrue(result.stderr.startswith(b"tdx-forge: "))


if __name__ == "__main__":
    unittest.main(verbosity=2)
