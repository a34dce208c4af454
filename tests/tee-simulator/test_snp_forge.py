#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_snp_forge.py SNP-FORGE: are the forged reports, certificates and tables right, and wrong in one thing only?

A verifier of its own, by AMD's documents and with another library than the
project's.
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
import uuid

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

FORGE = sys.argv.pop(1)

REPORT_DATA = bytes(range(64))
NOW = datetime.datetime(2026, 11, 1)
AMD = "1.3.6.1.4.1.3704.1."
LINES = "milan", "genoa", "turin"
CPUID = {"milan": (0x19, 0x00, 0x0F), "genoa": (0x19, 0x10, 0x1F), "turin": (0x1A, 0x00, 0x11)}
GUIDS = {
    "ark": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "ask": "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "vcek": "63da758d-e664-4564-adc5-f4b93be8accd",
    "vlek": "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
    "extra": "ecae0c0f-9502-43b1-afa2-0ae2e0d565b6",
}
NAMES = {uuid.UUID(guid).bytes: name for name, guid in GUIDS.items()}


def spki_sha256(certificate):
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def common_name(name):
    return name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


def issued_by(certificate, issuer):
    try:
        issuer.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes,
            padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384(),
        )
        return certificate.issuer == issuer.subject
    except InvalidSignature:
        return False


def extensions(certificate):
    """Of AMD's: last arcs → DER of the value."""
    return {
        e.oid.dotted_string[len(AMD) :]: e.value.value
        for e in certificate.extensions if e.oid.dotted_string.startswith(AMD)
    }


def integer(der):
    assert der[0] == 2 and der[1] == len(der) - 2, der
    return int.from_bytes(der[2:], "big", signed=True)


def ia5(der):
    assert der[0] == 0x16 and der[1] == len(der) - 2, der
    return der[2:].decode("ascii")


def tcb_of(line, tcb):
    names = ("fmc", "bootloader", "tee", "snp") if line == "turin" else ("bootloader", "tee")
    parts = dict(zip(names, tcb))
    parts.setdefault("snp", tcb[6])
    parts["microcode"] = tcb[7]
    return parts


def read_table(data):
    """[(name, content)], or a ValueError that names what is wrong."""
    if len(data) > 16384:
        raise ValueError("large")
    entries, at = [], 0
    while True:
        if at + 24 > len(data):
            raise ValueError("unterminated")
        guid, offset, length = data[at : at + 16], *struct.unpack_from("<II", data, at + 16)
        at += 24
        if not any(guid):
            break
        entries.append((NAMES.get(guid), offset, length))
    taken = []
    for name, offset, length in entries:
        if name is None:
            raise ValueError("unterminated")  # what follows the entries was taken for one
        if offset + length >= 1 << 32:
            raise ValueError("overflow")
        if offset + length > len(data):
            raise ValueError("beyond")
        if offset < at:
            raise ValueError("header")
        if any(offset < end and start < offset + length for start, end in taken):
            raise ValueError("overlap")
        taken.append((offset, offset + length))
    names = [name for name, _, _ in entries]
    if len(set(names)) != len(names):
        raise ValueError("duplicate")
    return [(name, data[offset : offset + length]) for name, offset, length in entries]


class Report:
    """A report and its table, judged: `wrong` holds what is not as it has to be."""

    def __init__(self, data, table, line, signer, root_spki):
        self.data, self.line, self.signer, self.wrong = data, line, signer, set()
        (self.version,) = struct.unpack_from("<I", data)
        self.check("size", len(data) == 1184)
        self.check("version", self.version in (2, 3, 4, 5))
        policy, vmpl, algorithm = *struct.unpack_from("<Q", data, 8), *struct.unpack_from("<II", data, 0x30)
        self.flags = struct.unpack_from("<I", data, 0x48)[0]
        self.check("debug", not policy >> 19 & 1)
        self.check("migratable", not policy >> 18 & 1)
        self.check("policy", policy >> 17 & 1)
        self.check("vmpl", vmpl == 0)
        self.check("algorithm", algorithm == 1)
        self.check("masked-key", not self.flags >> 1 & 1)
        self.check("signing-key", self.flags >> 2 & 7 == {"vcek": 0, "vlek": 1}[signer])
        self.check("rest", not any(data[0x2A0 + 144 :]))
        family, model = data[0x188], data[0x189]
        if self.version >= 3:
            self.check("product", family == CPUID[line][0] and CPUID[line][1] <= model <= CPUID[line][2])
        else:
            self.check("product", not any(data[0x188:0x18B]))
        self.chain = None
        try:
            self.judge_table(read_table(table), root_spki)
        except ValueError as e:
            self.wrong.add(f"table: {e}" if len(e.args) == 1 and isinstance(e.args[0], str) else "table")

    def check(self, what, is_right):
        if not is_right:
            self.wrong.add(what)

    def judge_table(self, entries, root_spki):
        found = dict(entries)
        self.entries = [name for name, _ in entries]
        if any(found.get(name, b"")[:5] == b"-----" for name in ("ark", "ask", self.signer)):
            self.wrong.add("pem")
            return
        if not found.get(self.signer):
            self.wrong.add("no-leaf")
            return
        self.leaf = x509.load_der_x509_certificate(found[self.signer])
        self.judge_leaf()
        if "ask" not in found:
            self.wrong.add("no-intermediate")
            return
        self.chain = [self.leaf, *(x509.load_der_x509_certificate(found[name]) for name in ("ask", "ark"))]
        self.judge_chain(root_spki)

    def judge_leaf(self):
        key, signature = self.leaf.public_key(), self.data[0x2A0 : 0x2A0 + 144]
        self.check("name", common_name(self.leaf.subject) == f"SEV-{self.signer.upper()}")
        self.check("curve", isinstance(key.curve, ec.SECP384R1))
        r, s = (int.from_bytes(signature[i : i + 72], "little") for i in (0, 72))
        try:
            key.verify(encode_dss_signature(r, s), self.data[:0x2A0], ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            self.wrong.add("signature")

        self.amd = e = extensions(self.leaf)
        if not e:
            self.wrong.add("extensions")
            return
        self.check("struct-version", integer(e["1"]) == 1)
        self.check("leaf-product", ia5(e["2"]).split("-")[0].lower() == self.line)
        numbers = {"bootloader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8"}
        if self.line == "turin":
            numbers["fmc"] = "3.9"
        reported = tcb_of(self.line, self.data[0x180:0x188])
        for name, arcs in numbers.items():
            if arcs not in e:
                self.wrong.add("no-spl")
            elif integer(e[arcs]) > 255:
                self.wrong.add("wide-spl")
            else:
                self.check("tcb", integer(e[arcs]) == reported[name])
        self.check("one-kind", ("4" in e) != ("5" in e))
        if self.signer == "vcek" and "4" in e:
            hwid = e["4"] if len(e["4"]) in (8, 64) else e["4"][2:]
            chip_id = self.data[0x1A0:0x1E0]
            self.check("masked-chip-id", any(chip_id))
            if any(chip_id):
                self.check("hwid", hwid == chip_id[: len(hwid)] and not any(chip_id[len(hwid) :]))

    def judge_chain(self, root_spki):
        leaf, intermediate, root = self.chain
        line = self.line.capitalize()
        self.check("ark", common_name(root.subject) == f"ARK-{line}" and spki_sha256(root) == root_spki)
        expected = {"vcek": f"SEV-{line}", "vlek": f"SEV-VLEK-{line}"}[self.signer]
        self.check("issuer", common_name(intermediate.subject) == expected)
        self.check("issued", issued_by(leaf, intermediate) and issued_by(intermediate, root) and issued_by(root, root))
        for ca in root, intermediate:
            constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
            self.check("ca", constraints.value.ca and constraints.critical)
            self.check("size", ca.public_key().key_size == 4096)
        self.check("leaf-validity", leaf.not_valid_before <= NOW <= leaf.not_valid_after)
        self.check("validity", all(c.not_valid_before <= NOW <= c.not_valid_after for c in (intermediate, root)))


WRONG = {
    "none": set(),
    "wrong-signer": {"signature"},
    "bad-signature": {"signature"},
    "zero-signature": {"signature"},
    "big-endian-signature": {"signature"},
    "signature-algorithm": {"algorithm"},
    "version": {"version"},
    "masked-chip-key": {"masked-key", "signature"},
    "signing-key": {"signing-key"},
    "signing-key-none": {"signing-key"},
    "chip-id": {"hwid"},
    "masked-chip-id": {"masked-chip-id"},
    "tcb": {"tcb"},
    "product": {"product"},
    "debug": {"debug"},
    "migratable": {"migratable"},
    "vmpl": {"vmpl"},
    "leaf-product": {"leaf-product"},
    "leaf-name": {"name"},
    "leaf-key": {"curve", "signature"},
    "leaf-both": {"one-kind"},
    "leaf-neither": {"one-kind"},
    "leaf-extensions": {"extensions"},
    "leaf-no-spl": {"no-spl"},
    "leaf-wide-spl": {"wide-spl"},
    "other-issuer": {"issuer"},
    "expired-leaf": {"leaf-validity"},
    "future-leaf": {"leaf-validity"},
    "self-signed": {"no-intermediate"},
    "expired-intermediate": {"validity"},
    "intermediate-not-ca": {"ca"},
    "other-root": {"ark"},
    "table-absent": {"table: unterminated"},
    "table-no-leaf": {"no-leaf"},
    "table-empty-leaf": {"no-leaf"},
    "table-other-leaf": {"signature", "hwid", "tcb"},
    "table-no-intermediate": {"no-intermediate"},
    "table-pem": {"pem"},
    "table-unterminated": {"table: unterminated"},
    "table-duplicate": {"table: duplicate"},
    "table-overlap": {"table: overlap"},
    "table-header": {"table: header"},
    "table-beyond": {"table: beyond"},
    "table-overflow": {"table: overflow"},
    "table-large": {"table: large"},
}


class Forge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.state = pathlib.Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def forge(self, *fields):
        """(report, table, certificates as PEM)"""
        paths = [self.state / name for name in ("report", "table", "certs")]
        subprocess.run(
            [FORGE, "--state", self.state, "--report-data", REPORT_DATA.hex(), "--out", paths[0], "--table", paths[1],
             "--certs", paths[2], *fields],
            check=True,
        )
        return [path.read_bytes() for path in paths]

    def report(self, *fields, line="milan", signer="vcek"):
        data, table, _ = self.forge(f"product={line}", f"signer={signer}", *fields)
        root = (self.state / f"ark-{line}-spki-sha256").read_text().strip()
        return Report(data, table, line, signer, root)

    def test_every_form_of_report_verifies(self):
        for line in LINES:
            for signer in "vcek", "vlek":
                for version in "2345":
                    with self.subTest(line=line, signer=signer, version=version):
                        report = self.report(f"version={version}", line=line, signer=signer)
                        self.assertEqual(report.wrong, set())
                        self.assertEqual(report.data[0x50:0x90], REPORT_DATA)
                        self.assertEqual(any(report.data[0x1F8:0x208]), version == "5")
                        self.assertEqual(report.entries, [signer, "ask", "ark"])

    def test_each_flaw_is_the_only_one(self):
        text = subprocess.run([FORGE, "--help"], capture_output=True, text=True, check=True).stdout
        flaws = re.findall(r"^  (\S+) ", text[text.index("flaws:") :], re.M)
        self.assertEqual(set(flaws), set(WRONG))
        for i, flaw in enumerate(flaws):
            others = [] if flaw.startswith("table-") else [(("turin", "vcek"), ("genoa", "vlek"))[i % 2]]
            for line, signer in [("milan", "vcek"), *others]:
                expected = WRONG[flaw]
                if signer == "vlek":
                    expected = expected - {"hwid", "masked-chip-id"}  # a cloud's key knows no chip
                with self.subTest(flaw=flaw, line=line, signer=signer):
                    self.assertEqual(self.report(f"flaw={flaw}", line=line, signer=signer).wrong, expected)

    def test_the_certificates_as_pem_are_those_of_the_table(self):
        for fields in ["flaw=none"], ["flaw=other-root"], ["flaw=expired-intermediate"], ["product=turin", "signer=vlek"]:
            _, table, pem = self.forge(*fields)
            texts = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", pem, re.S)
            ders = [x509.load_pem_x509_certificate(t).public_bytes(serialization.Encoding.DER) for t in texts]
            self.assertEqual(ders, [content for _, content in read_table(table)])
        self.assertEqual(self.forge("flaw=table-absent")[1:], [b"", b""])

    def test_a_self_signed_leaf_is_right_in_all_else(self):
        report = self.report("flaw=self-signed")
        self.assertEqual(report.entries, ["vcek"])
        report.leaf.public_key().verify(
            report.leaf.signature, report.leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384())
        )

    def test_fields_are_where_they_belong(self):
        places = {
            "family_id": (0x10, 16), "image_id": (0x20, 16), "measurement": (0x90, 48), "host_data": (0xC0, 32),
            "id_key_digest": (0xE0, 48), "author_key_digest": (0x110, 48), "report_id": (0x140, 32),
            "report_id_ma": (0x160, 32), "current_tcb": (0x38, 8), "reported_tcb": (0x180, 8),
            "committed_tcb": (0x1E0, 8), "launch_tcb": (0x1F0, 8), "chip_id": (0x1A0, 64), "current_fw": (0x1E8, 3),
            "committed_fw": (0x1EC, 3),
        }
        values = {name: os.urandom(size) for name, (_, size) in places.items()}
        report = self.report("version=5", *(f"{n}={v.hex()}" for n, v in values.items()))
        self.assertEqual(report.wrong, set())
        for name, (at, size) in places.items():
            self.assertEqual(report.data[at : at + size], values[name], name)

        report = self.report("version=5", "guest_svn=7", "policy=0x30a02", "vmpl=0xffffffff", "platform_info=3",
                             "author_key_en=1", "launch_mit_vector=258", "current_mit_vector=0x1122334455667788",
                             "cpuid_fms=190f02")
        self.assertEqual(report.wrong, {"vmpl"})
        self.assertEqual(struct.unpack_from("<IQ", report.data, 4), (7, 0x30A02))
        self.assertEqual(struct.unpack_from("<Q", report.data, 0x40), (3,))
        self.assertEqual(report.flags, 1)
        self.assertEqual(struct.unpack_from("<QQ", report.data, 0x1F8), (258, 0x1122334455667788))
        self.assertEqual(report.data[0x188:0x18B], bytes.fromhex("190f02"))

    def test_leaves_say_what_they_are_to_say(self):
        report = self.report("csp_id=CN=a-cloud.example", "certificate_tcb=0a00000000001855", signer="vlek")
        self.assertEqual(ia5(report.amd["5"]), "CN=a-cloud.example")
        self.assertEqual([integer(report.amd[a]) for a in ("3.1", "3.3", "3.8")], [10, 24, 0x55])
        self.assertEqual(report.wrong, {"tcb"})
        report = self.report("reported_tcb=ff000000000080ff")
        self.assertEqual((report.wrong, report.amd["3.1"]), (set(), bytes.fromhex("020200ff")))
        for line, size in ("milan", 64), ("turin", 8):
            plain, wrapped = (self.report(f"hwid-wrapped={i}", line=line) for i in "01")
            self.assertEqual((plain.wrong, wrapped.wrong), (set(), set()))
            self.assertEqual(len(plain.amd["4"]), size)
            self.assertEqual(wrapped.amd["4"], bytes([4, size]) + plain.amd["4"])
        self.assertEqual(self.report("table-extra=1").entries, ["vcek", "ask", "ark", "extra"])

    def test_one_state_is_one_root_a_line_and_no_two_are_equal(self):
        roots = set()
        for line in LINES:
            self.assertEqual(self.report(line=line).wrong, set())
            self.assertEqual(self.report(line=line).wrong, set())
            roots.add((self.state / f"ark-{line}-spki-sha256").read_text())
        self.assertEqual(len(roots), 3)
        self.assertEqual(oct(os.stat(self.state / "ark-milan.key").st_mode & 0o777), "0o600")

    def test_they_look_like_the_real_ones(self):
        folder = pathlib.Path(__file__).resolve().parents[3] / "shared/vectors/snp/certs"
        if not folder.is_dir():
            self.skipTest("the collection of real certificates is not here")
        for line, signer in ("milan", "vcek"), ("genoa", "vcek"), ("turin", "vcek"), ("milan", "vlek"):
            ours = self.report(line=line, signer=signer).leaf
            for path in folder.glob(f"{signer}-{line}-*.der"):
                if "BADCHAIN" in path.name:
                    continue
                real = x509.load_der_x509_certificate(path.read_bytes())
                with self.subTest(path.name):
                    self.assertEqual([e.oid for e in real.extensions], [e.oid for e in ours.extensions])
                    self.assertEqual(common_name(real.subject), common_name(ours.subject))
                    self.assertEqual(common_name(real.issuer), common_name(ours.issuer))
                    self.assertEqual(real.serial_number, ours.serial_number)
                    self.assertEqual(extensions(real)["2"][:2 + len(line)], extensions(ours)["2"][:2 + len(line)])

    def test_a_flipped_bit_anywhere_shows(self):
        data, table, _ = self.forge()
        root = (self.state / "ark-milan-spki-sha256").read_text().strip()
        self.assertEqual(Report(data, table, "milan", "vcek", root).wrong, set())
        for at in list(range(0, 0x2A0, 9)) + list(range(0x2A0, 0x2A0 + 144, 3)):
            bad = bytearray(data)
            bad[at] ^= 0x20
            self.assertIn("signature", Report(bytes(bad), table, "milan", "vcek", root).wrong, at)

    def test_usage(self):
        for arguments, status in (
            (["colour=red"], 2), (["measurement=00"], 2), (["measurement"], 2), (["flaw=many"], 2), (["version=6"], 2),
            (["vmpl=-1"], 2), (["vmpl=0x100000000"], 2), (["guest_svn=1 "], 2), (["product=rome"], 2),
            (["signer=me"], 2), (["certificate_tcb=00"], 2), (["--report-data", "00"], 2),
            (["--report-data", "zz" * 64], 2), (["--state", "/nowhere"], 1), (["--nonsense"], 2),
        ):
            result = subprocess.run([FORGE, "--state", self.state, *arguments], capture_output=True)
            self.assertEqual((result.returncode, result.stdout), (status, b""), arguments)
            self.assertTrue(result.stderr.startswith(b"snp-forge: "))


if __name__ == "__main__":
    unittest.main(verbosity=2)
