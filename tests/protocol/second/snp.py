# SPDX-License-Identifier: LGPL-2.1-or-later
"""SNP reports, versions 2 to 5, the host's certificate table, and the certificates of VCEK and VLEK."""
import uuid
from dataclasses import dataclass
from typing import Optional

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from . import Refused, need
from .handshake import public_key
from .quote import Little, certificates, cn, must_be_ca, must_be_pinned

AMD = "1.3.6.1.4.1.3704.1."
ROOTS = {line: bytes.fromhex(pin) for line, pin in {
    "milan": "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    "genoa": "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    "turin": "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"}.items()}
CERTIFICATES = {uuid.UUID(guid).bytes for guid in (
    "c0b406a4-a803-4952-9743-3fb6014cd0ae", "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "63da758d-e664-4564-adc5-f4b93be8accd", "a8074bc2-a25a-483e-aae6-39c045a0b8a1")}

HEAD = (("guest_svn", 4), ("policy", 8), ("family_id", 16), ("image_id", 16), ("vmpl", 4), ("algorithm", 4),
        ("current_tcb", 8), ("platform_info", 8), ("key_info", 4), ("zero", 4), ("report_data", 64), ("measurement", 48),
        ("host_data", 32), ("id_key_digest", 48), ("author_key_digest", 48), ("report_id", 32), ("report_id_ma", 32),
        ("reported_tcb", 8), ("cpuid", 3), ("zero", 21), ("chip_id", 64), ("committed_tcb", 8), ("current_fw", 3),
        ("zero", 1), ("committed_fw", 3), ("zero", 1), ("launch_tcb", 8), ("mit_vectors", 16), ("zero", 152), ("r", 72),
        ("s", 72), ("tail", 368))
NUMBERS = "policy", "vmpl", "algorithm", "platform_info", "key_info"
PARTS = {"turin": {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}}
OLD_PARTS = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}


def looks_like(data):
    return len(data) >= 4 and int.from_bytes(data[:4], "little") <= 15


def unwrap(data):
    """What lies in Azure's envelope."""
    need(len(data) <= 64 * 1024 and len(data) >= 1236, "envelope: its size")
    kind, hashed, size = (int.from_bytes(data[at:at + 4], "little") for at in (1224, 1228, 1232))
    need(size <= len(data) - 1236 and kind == 2 and hashed in (1, 2, 3), "envelope: not of a report")
    return data[32:1216]


@dataclass
class Report:
    version: int
    body: dict
    signed: bytes
    line: Optional[str]  # of what the report itself says; version 2 says nothing


def line_of(cpuid):
    family, model, _ = cpuid
    if family == 0x19:
        return "milan" if model < 16 else "genoa" if model >> 4 in (1, 10) else None
    return "turin" if family == 0x1a and model <= 0x11 else None


def parse(data):
    need(len(data) == 1184, "report: its size")
    r = Little(data)
    version = r.uint(4)
    need(2 <= version <= 5, "report: an unknown version")
    body = {}
    for name, size in HEAD:
        part = r.take(size)
        need(name not in ("zero", "tail") or not any(part), "report: a reserved byte")
        body[name] = int.from_bytes(part, "little") if name in NUMBERS else part
    need(body["algorithm"] == 1 and body["key_info"] < 32, "report: its signature")
    need(version >= 3 or not any(body["cpuid"]), "report: CPUID in version 2")
    need(version >= 5 or not any(body["mit_vectors"]), "report: mitigation vectors before version 5")
    return Report(version, body, data[:672], line_of(body["cpuid"]) if version >= 3 else None)


def tcb(raw, line):
    parts = PARTS.get(line, OLD_PARTS)
    need(not any(b for i, b in enumerate(raw) if i not in parts.values()), "a reserved byte of the TCB")
    return {name: raw[at] for name, at in parts.items()}


def table(data):
    """-> the certificates in it"""
    need(len(data) <= 16384, "table: too large")
    r = Little(data)
    entries = []
    while True:
        guid, offset, length = r.take(16), r.uint(4), r.uint(4)
        if guid == bytes(16) and offset == length == 0:
            break
        need(len(entries) < 32, "table: too many entries")
        need(length > 0 and offset + length <= len(data), "table: an entry beyond it")
        entries.append((guid, offset, offset + length))
    need(len({guid for guid, _, _ in entries}) == len(entries), "table: an entry twice")
    last = r.at
    for _, start, end in sorted(entries, key=lambda e: e[1]):
        need(start >= last, "table: entries overlap")
        last = end
    return [c for guid, start, end in entries if guid in CERTIFICATES for c in either(data[start:end])]


def either(data):
    """DER, or PEM"""
    try:
        if data.lstrip(b" \t\r\n")[:1] in (b"-", b""):
            got = certificates(data)
        else:
            got = [x509.load_der_x509_certificate(data)]
        for certificate in got:
            need(certificate.extensions is not None, "extensions")
        return got
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as e:
        raise Refused(f"a certificate: {e}") from None


@dataclass
class Vek:
    certificate: x509.Certificate
    line: Optional[str]
    tcb: dict
    hwid: Optional[bytes]
    csp_id: Optional[str]

    @property
    def name(self):
        return "VLEK" if self.hwid is None else "VCEK"


def text(der, size):
    need(len(der) > 2 and der[0] == 0x16 and der[1] == len(der) - 2 < size, "an extension is no short text")
    return der[2:].decode("ascii", "strict")


def byte(der):
    need(der[:1] == b"\2" and (len(der) == 3 and der[1] == 1 and der[2] < 128 or
                               len(der) == 4 and der[1:3] == b"\2\0" and der[3] > 127), "an extension is no byte")
    return der[-1]


def vek(certificate):
    """What AMD's extensions say; refused if it is no certificate of a VCEK or VLEK."""
    try:
        found = {e.oid.dotted_string[len(AMD):]: e.value.value for e in certificate.extensions
                 if e.oid.dotted_string.startswith(AMD)}
    except (ValueError, x509.DuplicateExtension) as e:
        raise Refused(f"extensions: {e}") from None
    need({"1", "2", "3.1", "3.2", "3.3", "3.8"} <= set(found), "an extension is missing")
    byte(found["1"])
    parts = {"3.1": "bootloader", "3.2": "tee", "3.3": "snp", "3.8": "microcode", "3.9": "fmc"}
    got = {name: byte(found[arc]) for arc, name in parts.items() if arc in found}
    need(not any(byte(found[arc]) for arc in ("3.4", "3.5", "3.6", "3.7") if arc in found), "a reserved part")
    hwid, csp_id = found.get("4"), found.get("5")
    need((hwid is None) != (csp_id is None), "a chip or a provider, one of them")
    if hwid is not None and len(hwid) not in (8, 64):
        need(hwid[:1] == b"\4" and len(hwid) in (10, 66) and hwid[1] == len(hwid) - 2, "no id of a chip")
        hwid = hwid[2:]
    line = text(found["2"], 32).split("-")[0]
    return Vek(certificate, line.lower() if line in ("Milan", "Genoa", "Turin") else None, got, hwid,
               text(csp_id, 128) if csp_id is not None else None)


def is_of_chip(key, report):
    chip = report.body["chip_id"]
    return key.hwid is not None and key.hwid == chip[:len(key.hwid)] and not any(chip[len(key.hwid):])


def find(pool, report):
    """The likeliest certificate of the key that has signed."""
    def likeness(key):
        try:
            same = tcb(report.body["reported_tcb"], key.line) == key.tcb
        except Refused:
            same = False
        return 4 * ((key.hwid is None) == (signer(report) == 1)) + 2 * is_of_chip(key, report) + same

    found = []
    for certificate in pool:
        try:
            found.append(vek(certificate))
        except (Refused, UnicodeDecodeError):
            pass
    need(found, "the certificate of the key is missing")
    return max(found, key=likeness)  # the first of those


def signer(report):
    return report.body["key_info"] >> 2 & 7


def chain(pool, key, roots):
    """Key, ASK or ASVK, ARK; of several that fit by name, the one that verifies."""
    tried = [[key.certificate, ca, root] for ca in pool if ca is not key.certificate and issued(key.certificate, ca)
             for root in pool if root is not ca and issued(ca, root)][:16]
    need(tried, "an issuer is missing")
    for one in tried:
        try:
            verify_chain(one, roots)
            return one, None
        except Refused as why:
            first = str(why) if one is tried[0] else first
    return tried[0], first


def issued(certificate, issuer):
    return cn(certificate.issuer) != "" and cn(certificate.issuer) == cn(issuer.subject)


def algorithm(certificate):
    """DER of its AlgorithmIdentifier, which is that of RSASSA-PSS with its parameters."""
    rest = certificate.public_bytes(serialization.Encoding.DER)[4 + len(certificate.tbs_certificate_bytes):]
    need(rest[0] == 0x30 and rest[1] < 128, "its algorithm")
    return rest[:2 + rest[1]]


def verify_chain(one, roots):
    for child, issuer in zip(one, one[1:] + one[-1:]):
        need(child.issuer == issuer.subject, "a name does not match")
        key = public_key(issuer)
        need(isinstance(key, rsa.RSAPublicKey), "not an RSA key")
        need(algorithm(child) in child.tbs_certificate_bytes, "signed otherwise than it says")
        try:
            key.verify(child.signature, child.tbs_certificate_bytes, padding.PSS(padding.MGF1(hashes.SHA384()), 48),
                       hashes.SHA384())
        except InvalidSignature:
            raise Refused("a certificate's signature is wrong") from None
        must_be_ca(issuer)
    must_be_pinned(one[-1], roots)


def verify_signature(report, key):
    body = report.body
    need(not body["key_info"] & 2 and signer(report) != 7, "nobody has signed it")
    r, s = int.from_bytes(body["r"], "little"), int.from_bytes(body["s"], "little")
    need(0 < r < 1 << 384 and 0 < s < 1 << 384, "not a signature of P-384")
    public = public_key(key.certificate)
    need(isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP384R1), "not a P-384 key")
    try:
        public.verify(encode_dss_signature(r, s), report.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise Refused("wrong signature") from None


def check_identity(report, key, policy):
    need(signer(report) == (1 if key.hwid is None else 0), "another kind of key")
    need(cn(key.certificate.subject) == f"SEV-{key.name}", "another name")
    need(key.line is not None and (report.version < 3 or report.line == key.line), "of another product")
    issuer = ("SEV-VLEK-" if key.hwid is None else "SEV-") + key.line.capitalize()
    need(cn(key.certificate.issuer) == issuer, "another issuer")
    if key.hwid is not None and not is_of_chip(key, report):
        need(not any(report.body["chip_id"]), "another chip")
        need("masked-chip-id" in policy.attributes, "a masked chip id")


def check_attributes(report, policy):
    bits, platform = report.body["policy"], report.body["platform_info"]
    need(bits >> 17 & 1 and not bits >> 26, "reserved bits")
    need(not bits >> 18 & 1 or "migration-agent" in policy.attributes, "a migration agent")
    need(not bits >> 21 & 1 or "cxl" in policy.attributes, "CXL")
    for demand, bit in (("tsme", 1), ("ecc", 2), ("rapl-disabled", 3), ("ciphertext-hiding", 4), ("alias-check", 5)):
        need(demand not in policy.platform or platform >> bit & 1, f"without {demand}")
    need("smt-off" not in policy.platform or not platform & 1, "with SMT")


def check_minimum(report, line, policy):
    if not policy.minimum:
        return
    need(line in policy.minimum, "no minimum for this product")
    for name in "reported_tcb", "current_tcb", "committed_tcb", "launch_tcb":
        found = tcb(report.body[name], line)
        need(all(found[part] >= least for part, least in policy.minimum[line].items()), name)
