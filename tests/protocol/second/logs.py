# SPDX-License-Identifier: LGPL-2.1-or-later
"""The logs beside evidence, and what vouches for them: docs/protocol.md, sections 8 and 9."""
import hashlib
import re
from dataclasses import dataclass
from typing import Optional

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from . import Refused, cbor, need

BANKS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
TEMPLATES = {
    "ima-ng": ("d-ng", "n-ng"), "ima-sig": ("d-ng", "n-ng", "sig"), "ima-ngv2": ("d-ngv2", "n-ng"),
    "ima-sigv2": ("d-ngv2", "n-ng", "sig"), "ima-buf": ("d-ng", "n-ng", "buf"),
    "ima-modsig": ("d-ng", "n-ng", "sig", "d-modsig", "modsig"),
    "evm-sig": ("d-ng", "n-ng", "evmsig", "xattrnames", "xattrlengths", "xattrvalues", "iuid", "igid", "imode"),
}
SIGNED = {2: "sha1", 4: "sha256", 5: "sha384", 6: "sha512"}  # the kernel's enum hash_algo
HASHES = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
TPM_HASHES = {4: "sha1", 11: "sha256", 12: "sha384", 13: "sha512"}


def file_key(der):
    """A public key that can sign files."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise Refused(f"no key: {e}") from None
    need(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) == der,
         "not the DER of a key")
    if isinstance(key, rsa.RSAPublicKey):
        need(2048 <= key.key_size <= 16384, "the size of the key")
    else:
        need(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)),
             "the kind of key")
    return key


@dataclass
class Entry:
    pcr: int
    listed: bytes
    template: str
    data: bytes
    fields: dict
    legacy: bool = False

    @property
    def violation(self):
        return not any(self.listed)

    @property
    def path(self):
        return self.fields["path"]

    def digest(self, bank):
        """What it extends a register of this bank by."""
        if self.violation:
            return b"\xff" * BANKS[bank]
        data = self.fields["digest"] + self.path.ljust(256, b"\0") if self.legacy else self.data
        return hashlib.new(bank, data).digest()


def uint(data, at):
    need(at + 4 <= len(data), "cut short")
    return int.from_bytes(data[at:at + 4], "little"), at + 4


def piece(data, at, size):
    need(at + size <= len(data), "cut short")
    return data[at:at + size], at + size


def split(data):
    found, at = [], 0
    while at < len(data):
        size, at = uint(data, at)
        value, at = piece(data, at, size)
        found.append(value)
    return found


def file_digest(value, has_type):
    head, nul, digest = value.partition(b"\0")
    words = head.decode("ascii", "replace").split(":")
    need(nul and words[-1] == "" and len(words) == (3 if has_type else 2) and 1 <= len(digest) <= 64, "a digest")
    need(len(head) < 24 and re.fullmatch("[a-z0-9-]+", words[-2]), "an algorithm")
    kind = words[0] if has_type else "ima"
    need(kind in ("ima", "verity"), "the type of a digest")
    name = words[-2]
    need(BANKS.get(name, len(digest)) == len(digest), "the size of a digest")
    return kind, name, digest


def fields_of(template, data):
    need(template in TEMPLATES, "a template")
    names, values = TEMPLATES[template], split(data)
    need(len(names) == len(values), "the number of fields")
    got = dict(zip(names, values))
    has_type = "d-ngv2" in got
    got["kind"], got["algorithm"], got["digest"] = file_digest(values[0], has_type)
    need(values[1][-1:] == b"\0" and b"\0" not in values[1][:-1], "a path")
    got["path"] = values[1][:-1]
    return got


def entry(data, at, bank):
    pcr, at = uint(data, at)
    listed, at = piece(data, at, BANKS[bank])
    size, at = uint(data, at)
    need(1 <= size <= 128, "the name of a template")
    name, at = piece(data, at, size)
    name = name.decode("ascii", "replace")
    if name == "ima":
        digest, at = piece(data, at, 20)
        size, at = uint(data, at)
        need(size <= 255, "a path")
        path, at = piece(data, at, size)
        fields = {"kind": "ima", "algorithm": "sha1", "digest": digest, "path": path}
        return Entry(pcr, listed, name, b"", fields, True), at
    size, at = uint(data, at)
    need(size <= 1 << 20, "template data")
    value, at = piece(data, at, size)
    return Entry(pcr, listed, name, value, fields_of(name, value)), at


def entries(data, bank):
    at = 0
    while at < len(data):
        one, at = entry(data, at, bank)
        need(not one.violation or not any(one.fields["digest"]), "a violation with a digest")
        need(one.violation or one.listed == one.digest(bank), "the digest in the list is not that of the data")
        yield one


def extend(value, bank, digest):
    return hashlib.new(bank, value + digest).digest()


def aggregates(log, bank):
    """The value of PCR 10 after each number of entries, from none on."""
    value = bytes(BANKS[bank])
    yield value
    for one in log:
        if one.pcr == 10:
            value = extend(value, bank, one.digest(bank))
        yield value


def verify_digest(key, algorithm, digest, signature):
    need(algorithm in HASHES and len(digest) == BANKS[algorithm], "another kind of digest")
    prehashed = utils.Prehashed(HASHES[algorithm]())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), prehashed)
        else:
            key.verify(signature, digest, ec.ECDSA(prehashed))
    except InvalidSignature:
        raise Refused("wrong signature") from None


def is_signed(key, one):
    """By security.ima of version 2. (Appended signatures the vectors have none of.)"""
    sig = one.fields.get("sig", b"")
    if len(sig) < 9 or sig[0] != 3 or sig[1] != 2 or len(sig) != 9 + int.from_bytes(sig[7:9], "big"):
        return False
    if one.fields["kind"] != "ima" or SIGNED.get(sig[2]) != one.fields["algorithm"]:
        return False
    try:
        verify_digest(key, one.fields["algorithm"], one.fields["digest"], sig[9:])
    except Refused:
        return False
    return True


def verdict(policy, one, index):
    if one.violation:
        return "violation"
    if not (policy.ima_allow or policy.ima_keys or policy.ima_require):
        return "not-appraised"
    if one.path in policy.ima_allow:
        allowed = (one.fields["algorithm"], one.fields["digest"]) in policy.ima_allow[one.path]
        return "allowed" if allowed else "changed"
    if index == 0 and one.path == b"boot_aggregate":
        return "boot-aggregate"
    if any(one.path.startswith(p) for p in policy.ima_exclude):
        return "excluded"
    return "signed" if any(is_signed(key, one) for key in policy.ima_keys) else "unknown"


def check_log(claims, log):
    ima = claims.ima
    need(log is not None, "the log is not there")
    need(ima["count"] <= len(log), "entries are missing")
    need(list(aggregates(log[:ima["count"]], ima["bank"]))[-1] == ima["aggregate"], "another aggregate")
    need(sum(one.violation for one in log[:ima["count"]]) == ima["violations"], "violations")
    if "boot_aggregate" in ima:
        need(log[0].path == b"boot_aggregate" and log[0].pcr == 10, "boot_aggregate")
        need(log[0].fields["digest"] == ima["boot_aggregate"], "boot_aggregate")


def check_entries(policy, claims, log):
    ima = claims.ima
    covered = log[:ima["count"]]
    verdicts = [verdict(policy, one, i) for i, one in enumerate(covered)]
    for one, found in zip(covered, verdicts):
        need(found not in ("changed", "unknown"), f"{one.path}: {found}")
    need(ima["violations"] <= (policy.ima_max_violations or 0), "violations")
    taken = {one.path for one, found in zip(covered, verdicts) if one.pcr == 10 and found in ("allowed", "signed")}
    for path in policy.ima_require:
        need(path in taken, f"{path} is required")


def without_log(_policy, _claims, _log):
    raise Refused("without the log of this evidence")


def take(data, at, size):
    value, at = piece(data, at, size)
    return int.from_bytes(value, "big"), at


def sized(data, at):
    size, at = take(data, at, 2)
    return piece(data, at, size)


@dataclass
class TpmQuote:
    extra: bytes
    bank: str
    pcrs: bytes
    digest: bytes


def tpm_attest(data):
    need(data[:6] == b"\xffTCG\x80\x18", "magic and type")
    _, at = sized(data, 6)
    extra, at = sized(data, at)
    _, at = piece(data, at, 17 + 8)
    count, at = take(data, at, 4)
    need(count == 1, "one selection")
    bank, at = take(data, at, 2)
    need(bank in TPM_HASHES, "the bank")
    size, at = take(data, at, 1)
    pcrs, at = piece(data, at, size)
    digest, at = sized(data, at)
    need(at == len(data), "bytes behind the end")
    return TpmQuote(extra, TPM_HASHES[bank], pcrs, digest)


def ecc_key(public):
    """Of a TPMT_PUBLIC for signing with ECDSA, the only kind that the vectors have."""
    kind, at = take(public, 0, 2)
    name_alg, at = take(public, at, 2)
    attributes, at = take(public, at, 4)
    need(kind == 0x23 and name_alg in TPM_HASHES and attributes & 0x50002 == 0x50002, "a restricted key that signs")
    _, at = sized(public, at)
    symmetric, at = take(public, at, 2)
    scheme, at = take(public, at, 2)
    need(symmetric == 0x10 and scheme == 0x18, "the scheme")
    _, at = take(public, at, 2)
    curve, at = take(public, at, 2)
    need(curve in (3, 4), "the curve")
    _, at = take(public, at, 2)
    x, at = sized(public, at)
    y, at = sized(public, at)
    need(at == len(public), "bytes behind the key")
    curve = {3: ec.SECP256R1, 4: ec.SECP384R1}[curve]()
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve)
    try:
        return numbers.public_key(), TPM_HASHES[name_alg]
    except ValueError:
        raise Refused("a point that is none") from None


def check_tpm(evidence, report_data, claims, log):
    need(evidence is not None, "no quote by a TPM")
    members = cbor.load(evidence)
    need(isinstance(members, dict) and set(members) == {"attest", "public", "signature"} and
         all(isinstance(v, bytes) for v in members.values()), "the member tpm")
    quote = tpm_attest(members["attest"])
    public, signature = members["public"], members["signature"]
    key, name_hash = ecc_key(public)
    name = public[2:4] + hashlib.new(name_hash, public).digest()
    need(claims.ima.get("ak") == name, "another key")
    kind, at = take(signature, 0, 2)
    algorithm, at = take(signature, at, 2)
    need(kind == 0x18 and algorithm in TPM_HASHES and TPM_HASHES[algorithm] != "sha1", "the signature")
    algorithm = TPM_HASHES[algorithm]
    r, at = sized(signature, at)
    s, at = sized(signature, at)
    need(at == len(signature), "bytes behind the signature")
    der = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    verify_digest(key, algorithm, hashlib.new(algorithm, members["attest"]).digest(), der)
    need(report_data is not None, "what it has to quote for is not known")
    need(quote.extra == hashlib.sha256(b"attestd tpm/1\0" + report_data).digest(), "extraData")
    need(quote.bank == claims.ima["bank"] and quote.pcrs == b"\0\4\0", "the selection")

    def is_quoted(value):
        return hashlib.new(algorithm, value).digest() == quote.digest

    if is_quoted(claims.ima["aggregate"]):
        return
    need(log is not None, "the entries between are not there")
    later = list(aggregates(log, quote.bank))[claims.ima["count"]:][:4097]
    need(any(map(is_quoted, later)), "PCR 10 is not of this log")


def check_root(policy, evidence, signed, claims, quote, log):
    root = claims.ima["root"]
    if root == "rtmr":
        need(claims.ima["register"] in policy.ima_rtmrs, "a register that the policy does not name")
        found = quote.body.get(f"rtmr{claims.ima['register']}")
        need(found is not None and found == claims.ima["aggregate"], "the register is not the aggregate")
    elif root != "claimed":
        root = "tpm-outside"
        check_tpm(evidence.tpm, signed, claims, log)
    need(root in policy.ima_roots, f"{root} is not taken")


OF_DATA = {4, 5, 8, 0x12, 0x80000001, 0x80000006, 0x80000007, 0x8000000c, 0x8000000d}


def events(log):
    """(register, {bank: digest}) of each event of a crypto-agile log, and (0, the locality that PCR 0 begins with)."""
    at = 8 + 20
    size, at = uint(log, at)
    header, at = piece(log, at, size)
    need(header[:16] == b"Spec ID Event03\0", "the header")
    count, where = uint(header, 24)
    sizes = {}
    for _ in range(count):
        need(where + 4 <= len(header), "the header")
        sizes[int.from_bytes(header[where:where + 2], "little")] = int.from_bytes(header[where + 2:where + 4], "little")
        where += 4
    while at < len(log) and set(log[at:at + 4]) != {0xff} and any(log[at:at + 12]):
        need(log[at + 1:at + 4] == bytes(3) and log[at] < 32, "a register")
        register, at = uint(log, at)
        kind, at = uint(log, at)
        count, at = uint(log, at)
        digests = {}
        for _ in range(count):
            value, at = piece(log, at, 2)
            algorithm = int.from_bytes(value, "little")
            need(algorithm in sizes and algorithm not in digests, "an algorithm")
            digests[algorithm], at = piece(log, at, sizes[algorithm])
        size, at = uint(log, at)
        data, at = piece(log, at, size)
        digests = {TPM_HASHES[a]: d for a, d in digests.items() if a in TPM_HASHES}
        need(kind not in OF_DATA or all(hashlib.new(a, data).digest() == d for a, d in digests.items()),
             "a digest that is not that of the data")
        if kind != 3:
            yield register, digests
        elif data[:16] == b"StartupLocality\0":
            need(register == 0 and data[16:] in (b"\0", b"\3", b"\4"), "the locality")
            yield 0, data[16]
    need(len(set(log[at:])) < 2 and log[at:at + 1] in (b"", b"\0", b"\xff"), "what is behind the events")


def check_boot_log(policy, claims, quote, log, ima_log, quoted):
    need(log is not None, "the log is not there")
    if claims is not None and claims.boot_digest is not None:
        need(hashlib.sha256(log).digest() == claims.boot_digest, "another log")
    of_td = "rtmr0" in quote.body
    need(of_td or quoted and ima_log[0].pcr == 10, "nothing vouches for it")
    bank = "sha384" if of_td else {v: k for k, v in BANKS.items()}[len(ima_log[0].fields["digest"])]
    found, values = [], {}
    for register, digests in events(log):
        if isinstance(digests, int):
            need(0 not in values, "a locality that comes late")
            values[0] = bytes(BANKS[bank] - 1) + bytes([digests])
            continue
        found.append((register, digests))
        if bank in digests:
            values[register] = extend(values.get(register, bytes(BANKS[bank])), bank, digests[bank])
    if of_td:
        count, shift = 3, 1
        need(all(values.get(i + 1, bytes(48)) == quote.body[f"rtmr{i}"] for i in range(3)), "the registers")
    else:
        count, shift = 8 if bank == "sha1" else 10, 0
        whole = b"".join(values.get(i, bytes(BANKS[bank])) for i in range(count))
        need(hashlib.new(bank, whole).digest() == ima_log[0].fields["digest"], "the boot_aggregate")
    for index, algorithm, digest in policy.boot_events:
        need(index < count and algorithm == bank, "nothing that the log can be held against")
        need((index + shift, digest) in [(r, d.get(bank)) for r, d in found], "the event is not there")


@dataclass
class Logs:
    """What travels beside the evidence."""
    ima: Optional[bytes] = None
    bank: str = "sha1"
    boot: Optional[bytes] = None


def check(r, policy, evidence, logs):
    """The checks from ima-root to boot-log; @evidence has the collection's tpm."""
    claims = r.claims
    log = None
    quoted = False
    if policy.ima:
        for name in ("ima-root", "ima-log", "ima"):
            r.check(name, lambda: need(claims is not None and claims.ima is not None and claims.ima["count"] > 0,
                                       "nothing is said of an IMA log"))
        if r.checks["ima-root"][0]:
            log = r.check("ima-log", lambda: list(entries(logs.ima, logs.bank)) if logs.ima is not None else None)
            r.check("ima-log", check_log, claims, log)
            fits = r.checks["ima-log"][0]
            r.check("ima-root", check_root, policy, evidence, r.signed, claims, r.quote, log if fits else None)
            quoted = fits and r.checks["ima-root"][0] and claims.ima["root"].startswith("tpm-")
            r.check("ima", check_entries if fits else without_log, policy, claims, log)
    if policy.boot_log:
        r.check("boot-log", check_boot_log, policy, claims, r.quote, logs.boot, log, quoted)
