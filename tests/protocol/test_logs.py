# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logs beside evidence: attestctl verify and the second implementation find the same, check by check."""
import base64
import hashlib
import os
import struct
import subprocess
import unittest
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

import setting
from second import appraise, logs

AT = 1780272000
LOG_CHECKS = ("ima-root", "ima-log", "ima", "boot-log")
TPM_IDS = {"sha1": 4, "sha256": 11, "sha384": 12}


def field(data):
    return struct.pack("<I", len(data)) + data


class Log:
    """Records of ima-sig, or what is asked for, as the kernel lists them."""

    def __init__(self):
        self.records = []
        self.add(b"boot_aggregate", b"\xba" * 32)

    def add(self, path, digest=None, sig=b"", template=b"ima-sig", pcr=10, head=b"sha256:", more=()):
        data = field(head + b"\0" + (digest or hashlib.sha256(path).digest())) + field(path + b"\0") + field(sig)
        self.records.append((pcr, False, template, data + b"".join(map(field, more))))
        return self

    def violation(self, path):
        self.records.append((10, True, b"ima-sig", field(b"sha256:\0" + bytes(32)) + field(path + b"\0") + field(b"")))
        return self

    def list(self, bank="sha1", count=None):
        def digest(bad, data):
            return bytes(logs.BANKS[bank]) if bad else hashlib.new(bank, data).digest()
        return b"".join(struct.pack("<I", pcr) + digest(bad, data) + field(template) + field(data)
                        for pcr, bad, template, data in self.records[:count])

    def aggregate(self, bank, count=None):
        value = bytes(logs.BANKS[bank])
        for pcr, bad, _, data in self.records[:count]:
            if pcr == 10:
                more = b"\xff" * logs.BANKS[bank] if bad else hashlib.new(bank, data).digest()
                value = hashlib.new(bank, value + more).digest()
        return value

    def claims(self, root, bank, count=None, **change):
        count = len(self.records) if count is None else count
        got = {"root": root, "bank": bank, "count": count, "aggregate": self.aggregate(bank, count),
               "violations": sum(bad for _, bad, _, _ in self.records[:count])}
        if root == "rtmr":
            got["register"] = 3
        got.update(change)
        return got


def sized(data):
    return struct.pack(">H", len(data)) + data


class Tpm:
    """As much of one as quotes PCR 10."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        point = self.key.public_key().public_numbers()
        self.public = (struct.pack(">HHI", 0x23, 11, 0x50072) + sized(b"") +
                       struct.pack(">HHHHH", 0x10, 0x18, 11, 3, 0x10) + sized(point.x.to_bytes(32, "big")) +
                       sized(point.y.to_bytes(32, "big")))
        self.name = b"\0\x0b" + hashlib.sha256(self.public).digest()

    def quote(self, report_data, bank, value, pcrs=b"\0\4\0"):
        extra = hashlib.sha256(b"attestd tpm/1\0" + report_data).digest()
        attest = (b"\xffTCG\x80\x18" + sized(self.name) + sized(extra) + struct.pack(">QIIB", 1000, 7, 1, 1) +
                  struct.pack(">Q", 1) + struct.pack(">IHB", 1, TPM_IDS[bank], 3) + pcrs +
                  sized(hashlib.sha256(value).digest()))
        r, s = utils.decode_dss_signature(self.key.sign(attest, ec.ECDSA(hashes.SHA256())))
        signature = struct.pack(">HH", 0x18, 11) + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))
        return cbor2.dumps({"attest": attest, "public": self.public, "signature": signature}, canonical=True)


def boot_log(extensions, algorithm=12, size=48):
    """A crypto-agile log, and what each register is after it."""
    spec = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + struct.pack("<IHH", 1, algorithm, size) + b"\0"
    log = struct.pack("<II", 0, 3) + bytes(20) + field(spec)
    name = {v: k for k, v in logs.BANKS.items()}[size]
    values = {}
    for register, digest in extensions:
        log += struct.pack("<IIIH", register, 13, 1, algorithm) + digest + field(b"x")
        values[register] = hashlib.new(name, values.get(register, bytes(size)) + digest).digest()
    return log, values


def file_signature(key, digest, kind=3, version=2, algorithm=4):
    prehashed = utils.Prehashed(hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(digest, padding.PKCS1v15(), prehashed)
    else:
        signature = key.sign(digest, ec.ECDSA(prehashed))
    return bytes([kind, version, algorithm]) + b"\0\0\0\1" + sized(signature)


def key_rule(key):
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "ima key " + base64.b64encode(der).decode()


def allow(path, digest=None):
    return f"ima allow sha256:{(digest or hashlib.sha256(path).digest()).hex()} {path.decode()}"


class Logs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = setting.temporary()
        cls.directory = Path(cls.folder.name)
        cls.made = {}  # a quote takes longer than a verdict
        cls.forge(bytes(64))
        cls.root = (cls.directory / "forge" / "root-spki-sha256").read_text().strip()
        cls.mrtd = hashlib.sha384(b"test mrtd").hexdigest()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def forge(cls, report_data, *fields):
        state = cls.directory / "forge"
        state.mkdir(exist_ok=True)
        return subprocess.check_output([os.environ["TDX_FORGE"], "--state", state, "--report-data", report_data.hex(),
                                        *fields])

    def evidence(self, submods, registers, tpm=None, batch=None):
        """Of a guest that says this; @tpm: (Tpm, bank, value of PCR 10); @batch: in the batch form, the TPM for its R,
        or "plain": for that of the plain form"""
        c = cbor2.dumps(cbor2.CBORTag(601, {
            6: AT, 10: bytes(32), 265: "tag:attestd.org,2026:evidence/1", 266: submods, -78000: [-16, bytes(32)],
            -78001: 1, -78002: [bytes(16), bytes(16), 7], -78003: bytes(32)}), canonical=True)
        kept = c, tuple(sorted(registers.items())), tpm, batch
        if kept not in self.made:
            self.made[kept] = self.make(c, registers, tpm, batch)
        return self.made[kept]

    def make(self, c, registers, tpm, batch):
        plain = report_data = hashlib.sha512(b"attestd evidence/1\0" + c).digest()
        other = hashlib.sha256(b"\0another C").digest()
        if batch:
            root = hashlib.sha256(b"\1" + other + hashlib.sha256(b"\0" + c).digest()).digest()
            report_data = hashlib.sha512(b"attestd batch/1\0" + struct.pack(">Q", 2) + root).digest()
        fields = [f"rtmr{i}={value.hex()}" for i, value in registers.items()]
        report = cbor2.dumps({"provider": "tdx_guest", "outblob": self.forge(report_data, *fields)}, canonical=True)
        members = {
            "__cmwc_t": "tag:attestd.org,2026:evidence/1",
            "claims": ['application/eat-ucs+cbor; eat_profile="tag:attestd.org,2026:evidence/1"', c, 4],
            "tee": ["application/vnd.veraison.tsm-report+cbor", report, 4]}
        if tpm:
            quote = tpm[0].quote(plain if batch == "plain" else report_data, *tpm[1:])
            members["tpm"] = ["application/vnd.attestd.tpm-quote+cbor", quote, 4]
        if batch:
            proof = cbor2.dumps([2, 1, [other]], canonical=True)
            members["proof"] = ["application/vnd.attestd.inclusion-proof+cbor", proof, 4]
        return cbor2.dumps(members, canonical=True), report_data

    def held_against(self, rules, evidence, report_data, ima=None, bank="sha1", boot=None):
        """-> the first check that fails, as both say it; None: accepted"""
        policy = self.directory / "policy"
        policy.write_text("\n".join(["attestd-policy 1", "tee tdx", f"root tdx {self.root}", f"boot mrtd={self.mrtd}",
                                     "workload any", "peer any", "collateral not-required", *rules, ""]))
        options = ["--policy", policy, "--report-data", report_data.hex(), "--at", AT, "--batch"]
        for name, data in ("ima-log", ima), ("boot-log", boot):
            if data is not None:
                (self.directory / name).write_bytes(data)
                options += [f"--{name}", self.directory / name]
        if ima is not None:
            options += ["--ima-bank", bank]
        status, theirs = setting.verify(evidence, *options)
        ours = appraise.appraise(evidence, appraise.Expected(AT, policy.read_bytes(), report_data, batch=True,
                                                             beside=logs.Logs(ima, bank, boot)))
        self.assertEqual(theirs["accepted"], ours.accepted, (theirs["reason"], ours.checks))
        self.assertEqual(status, 0 if ours.accepted else 1)
        found = {c["name"]: c["status"] for c in theirs["checks"]}
        for name in LOG_CHECKS:
            if ours.checks.get(name, (None,))[0] is False:
                self.assertIn(found[name], ("failed", "not checked"), (name, theirs["reason"], ours.checks))
            elif name in ours.checks:
                self.assertEqual(found[name], "passed", (name, theirs["checks"], ours.checks))
        return theirs["reason"].partition(":")[0] or None

    def judge(self, rules, log, root="rtmr", bank="sha384", count=None, given=None, listed="sha1", tpm=None,
              quoted=None, damage=None, boot=None, boot_digest=None, registers=None, batch=None, **change):
        ima = log.claims(root, bank, count, **change)
        if tpm:
            ima["ak"] = change.get("ak", tpm.name)
        submods = {"ima": ima}
        if boot_digest:
            submods["boot"] = {"digest": [-16, boot_digest]}
        values = {3: log.aggregate("sha384", count), **(registers or {})}
        quote = tpm and (tpm, bank, log.aggregate(bank, quoted or count))
        evidence, report_data = self.evidence(submods, values, quote, batch)
        data = log.list(listed, given)
        if damage:
            data = damage(data)
        return self.held_against(rules, evidence, report_data, data if given != 0 else None, listed, boot)

    def test_register_and_log(self):
        log, rules = Log().add(b"/usr/bin/a").add(b"/usr/bin/b"), ["ima root rtmr"]
        for listed in logs.BANKS:
            self.assertIsNone(self.judge(rules, log, listed=listed))
        self.assertIsNone(self.judge(rules, log, count=2))
        self.assertEqual(self.judge(rules, log, given=0), "ima-log")
        self.assertEqual(self.judge(rules, log, given=2), "ima-log")
        self.assertEqual(self.judge(rules, log, registers={3: log.aggregate("sha384", 2)}), "ima-root")
        self.assertEqual(self.judge(rules, log, registers={3: bytes(48), 2: log.aggregate("sha384")}), "ima-root")
        self.assertEqual(self.judge(rules, log, violations=1), "ima-log")
        self.assertEqual(self.judge(rules, log, boot_aggregate=b"\xbb" * 32), "ima-log")
        self.assertIsNone(self.judge(rules, log, boot_aggregate=b"\xba" * 32))
        self.assertEqual(self.judge(rules, log, damage=lambda data: data[:-1]), "ima-log")
        self.assertEqual(self.judge(rules, Log().add(b"/x"), damage=lambda _: log.list()), "ima-log")
        self.assertEqual(self.judge(["ima root tpm-outside"], log), "ima-root")
        self.assertEqual(self.judge(rules, log, "claimed"), "ima-root")
        self.assertIsNone(self.judge(["ima root claimed"], log, "claimed", "sha512"))

    def test_evidence_that_says_nothing(self):
        rules = ["ima root rtmr"]
        for submods in ({"ima-state": {"state": "garbled"}}, {"caller": {"peer": {"uid": 1}}}):
            self.assertEqual(self.held_against(rules, *self.evidence(submods, {}), Log().list()), "ima-root")
            self.assertIsNone(self.held_against([], *self.evidence(submods, {})))

    def test_every_changed_byte_of_a_log(self):
        log = Log().add(b"/usr/bin/a").violation(b"/v")
        good, rules = log.list(), ["ima root rtmr", "ima max-violations 1", allow(b"/usr/bin/a")]
        self.assertIsNone(self.judge(rules, log))
        start = len(log.list(count=1))
        for at in range(start, len(good), 7):
            self.judge(rules, log, damage=lambda data: data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1:])

    def test_tpm(self):
        log, tpm, rules = Log().add(b"/a").add(b"/b").add(b"/c"), Tpm(), ["ima root tpm-outside"]
        for bank in TPM_IDS:
            self.assertIsNone(self.judge(rules, log, "tpm-outside", bank, tpm=tpm))
            self.assertIsNone(self.judge(rules, log, "tpm-in-tee", bank, 2, tpm=tpm, quoted=4))
            self.assertEqual(self.judge(rules, log, "tpm-outside", bank, 3, tpm=tpm, quoted=2), "ima-root")
            self.assertEqual(self.judge(rules, log, "tpm-outside", bank, 2, 3, tpm=tpm, quoted=4), "ima-root")
        self.assertEqual(self.judge(["ima root tpm-in-tee"], log, "tpm-in-tee", "sha256", tpm=tpm), "ima-root")
        self.assertEqual(self.judge(rules, log, "tpm-outside", "sha256"), "ima-root")
        self.assertEqual(self.judge(rules, log, "tpm-outside", "sha256", tpm=tpm, ak=Tpm().name), "ima-root")
        self.assertIsNone(self.judge(rules, log, "tpm-outside", "sha256", tpm=tpm, batch="its own"))
        self.assertEqual(self.judge(rules, log, "tpm-outside", "sha256", tpm=tpm, batch="plain"), "ima-root")

    def test_entries(self):
        log = Log().add(b"/usr/bin/a").add(b"/opt/b").add(b"kernel_version", template=b"ima-buf")
        root = "ima root rtmr"
        a, b, version = allow(b"/usr/bin/a"), allow(b"/opt/b"), allow(b"kernel_version")
        other = allow(b"/opt/b", bytes(32))
        for rules, failed in (
            ([a, b, version], None), ([a, b], "ima"), ([a, version], "ima"), ([a, other, version], "ima"),
            ([a, b, other, version], None), ([a, "ima exclude /opt/", "ima exclude kernel_"], None),
            (["ima exclude /", "ima exclude k", "ima require /opt/b"], "ima"),
            (["ima exclude /usr", version, b, "ima require /opt/b"], None),
            (["ima exclude /", version, other], "ima"), (["ima exclude /"], None),
            ([a, b, version, allow(b"boot_aggregate", b"\xba" * 32)], None),
            ([a, b, version, allow(b"boot_aggregate", b"\xbb" * 32)], "ima"),
        ):
            with self.subTest(rules=rules):
                self.assertEqual(self.judge([root, *rules], log), failed)
        log.violation(b"/v")
        self.assertEqual(self.judge([root], log), "ima")
        self.assertEqual(self.judge([root, "ima max-violations 0"], log), "ima")
        self.assertIsNone(self.judge([root, "ima max-violations 1", a, b, version], log))
        log = Log().add(b"/usr/bin/a").add(b"/opt/b", pcr=11)
        self.assertIsNone(self.judge([root, a, b], log))
        self.assertEqual(self.judge([root, a], log), "ima")
        self.assertEqual(self.judge([root, a, b, "ima require /opt/b"], log), "ima")

    def test_signatures(self):
        for key, stranger in ((rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)),
                              (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1()))):
            digest, rules = hashlib.sha256(b"/a").digest(), ["ima root rtmr", key_rule(key)]
            good = file_signature(key, digest)
            for sig, failed in ((good, None), (b"", "ima"), (file_signature(stranger, digest), "ima"),
                                (file_signature(key, digest, kind=5), "ima"),
                                (file_signature(key, digest, 3, 3), "ima"),
                                (file_signature(key, digest, algorithm=6), "ima"),
                                (good + b"\0", "ima"), (good[:-1], "ima"), (file_signature(key, bytes(32)), "ima")):
                log = Log().add(b"/a", sig=sig)
                self.assertEqual(self.judge(rules, log), failed, sig.hex())
                self.assertIsNone(self.judge([*rules, allow(b"/a")], log))
                self.assertEqual(self.judge([*rules, allow(b"/a", bytes(32))], log), "ima")
            self.assertIsNone(self.judge(rules, Log().add(b"/a", sig=good, head=b"ima:sha256:", template=b"ima-sigv2")))
            self.assertEqual(self.judge(rules, Log().add(b"/a", sig=good, head=b"verity:sha256:",
                                                         template=b"ima-sigv2")), "ima")

    def test_boot_log(self):
        log = Log()
        boot, values = boot_log([(i, bytes([0x40 + i]) * 48) for i in (1, 2, 3, 2)])
        registers, rules = {i: values[i + 1] for i in range(3)}, ["boot-log required"]
        event = "boot-event 1 sha384:" + "42" * 48
        self.assertIsNone(self.judge(rules, log, boot=boot, registers=registers))
        self.assertIsNone(self.judge([event], log, boot=boot + b"\xff" * 64, registers=registers))
        self.assertIsNone(self.judge(rules, log, boot=boot, registers=registers,
                                     boot_digest=hashlib.sha256(boot).digest()))
        self.assertEqual(self.judge(rules, log, boot=boot, registers=registers, boot_digest=bytes(32)), "boot-log")
        self.assertEqual(self.judge(rules, log, registers=registers), "boot-log")
        self.assertEqual(self.judge(rules, log, boot=boot, registers={**registers, 1: bytes(48)}), "boot-log")
        self.assertEqual(self.judge([event.replace(" 1 ", " 0 ")], log, boot=boot, registers=registers), "boot-log")
        self.assertEqual(self.judge([event.replace(" 1 ", " 3 ")], log, boot=boot, registers=registers), "boot-log")
        event = "boot-event 1 sha256:" + "42" * 32
        self.assertEqual(self.judge([event], log, boot=boot, registers=registers), "boot-log")
        for at in range(100, len(boot), 29):
            self.judge(rules, log, boot=boot[:at] + bytes([boot[at] ^ 1]) + boot[at + 1:], registers=registers)


if __name__ == "__main__":
    unittest.main()
