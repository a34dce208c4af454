# SPDX-License-Identifier: LGPL-2.1-or-later
"""TDX quotes, versions 4 and 5, and the chain that they come with."""
import hashlib
import re
from dataclasses import dataclass, field
from typing import Optional

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from . import Refused, need
from .handshake import public_key, spki_of

INTEL_ROOT = bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")
INTEL_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
INTEL_QE_SIGNER = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")

BODY_10 = (("tee_tcb_svn", 16), ("mr_seam", 48), ("mr_signer_seam", 48), ("seam_attributes", 8), ("td_attributes", 8),
           ("xfam", 8), ("mr_td", 48), ("mr_config_id", 48), ("mr_owner", 48), ("mr_owner_config", 48), ("rtmr0", 48),
           ("rtmr1", 48), ("rtmr2", 48), ("rtmr3", 48), ("report_data", 64))
BODY_15 = BODY_10 + (("tee_tcb_svn2", 16), ("mr_service_td", 48))


class Little:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "quote: cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def uint(self, n):
        return int.from_bytes(self.take(n), "little")


@dataclass
class Quote:
    version: int
    vendor: bytes
    body: dict
    signed: bytes
    signature: bytes = b""
    key: bytes = b""
    certification_type: int = 0
    inner_type: int = 0
    qe_report: Optional[bytes] = None
    qe_signature: bytes = b""
    auth_data: bytes = b""
    pem: bytes = b""
    trailing: bytes = field(default=b"", repr=False)


def parse(data):
    need(len(data) <= 128 * 1024, "quote: too large")
    r = Little(data)
    version = r.uint(2)
    need(version in (4, 5), "quote: not version 4 or 5")
    need(r.uint(2) == 2, "quote: not an ECDSA P-256 key")
    need(r.uint(4) == 0x81, "quote: not TDX")
    r.take(4)
    vendor = r.take(16)
    r.take(20)

    layout = BODY_10
    if version == 5:
        kind, size = r.uint(2), r.uint(4)
        need((kind, size) in ((2, 584), (3, 648)), "quote: an unknown body")
        layout = BODY_15 if kind == 3 else BODY_10
    body = {name: r.take(size) for name, size in layout}
    q = Quote(version, vendor, body, data[:r.at])

    s = Little(r.take(r.uint(4)))
    q.trailing = data[r.at:]
    q.signature, q.key = s.take(64), s.take(64)
    q.certification_type = s.uint(2)
    inner = Little(s.take(s.uint(4)))
    need(s.at == len(s.data), "quote: bytes in the signature data")
    if q.certification_type == 6:
        q.qe_report, q.qe_signature = inner.take(384), inner.take(64)
        q.auth_data = inner.take(inner.uint(2))
        q.inner_type = inner.uint(2)
        chain = inner.take(inner.uint(4))
        need(inner.at == len(inner.data), "quote: bytes in the certification data")
        if q.inner_type == 5:
            q.pem = chain
    elif q.certification_type == 5:
        q.pem = inner.data
    return q


def p256(point):
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point)
    except ValueError:
        raise Refused("not a point of P-256") from None


def verify_raw(key, signature, signed):
    """r || s, as a quote has it"""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    need(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1), "not a P-256 key")
    need(r > 0 and s > 0, "wrong signature")
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("wrong signature") from None


def certificates(pem):
    pem = pem.rstrip(b"\0 \t\r\n")
    parts = re.findall(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", pem)
    need(re.sub(rb"\s", b"", b"".join(parts)) == re.sub(rb"\s", b"", pem) and parts, "not a PEM chain")
    try:
        return [x509.load_pem_x509_certificate(p) for p in parts]
    except (ValueError, x509.InvalidVersion) as e:
        raise Refused(f"a certificate: {e}") from None


def cn(name):
    got = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return got[0].value if len(got) == 1 else ""


def sgx_extension(certificate):
    try:
        return certificate.extensions.get_extension_for_oid(SGX_EXTENSION).value.value
    except (x509.ExtensionNotFound, ValueError):
        return None


def ppid(extension):
    """PPID: { 1.2.840.113741.1.13.1.1, OCTET STRING of 16 }"""
    head = bytes.fromhex("301e060a2a864886f84d010d01010410")
    at = extension.find(head)
    need(at >= 0, "no PPID")
    return extension[at + len(head):at + len(head) + 16]


def order(carried, added=()):
    """Leaf first: what the quote carries, in its order, then each one's issuer of what was added, by name."""
    chain = list(carried) or [c for c in added if sgx_extension(c)][:1]
    need(chain and sgx_extension(chain[0]), "the first certificate lacks the extension of a PCK")
    while cn(chain[-1].issuer) != cn(chain[-1].subject) and len(chain) < 8:
        issuers = [c for c in added if cn(c.subject) == cn(chain[-1].issuer)]
        need(issuers, "the chain has no root")
        chain.append(issuers[0])
    return chain


def must_be_ca(issuer):
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise Refused("an issuer that is no CA") from None
    need(constraints.ca and usage.key_cert_sign, "an issuer that is no CA")


def must_be_pinned(root, roots):
    need(hashlib.sha256(spki_of(public_key(root))).digest() in roots, "another root")


def verify_chain(chain, roots):
    """Signatures, CA rights and the pinned root; validity is another check."""
    need("SGX PCK Certificate" in cn(chain[0].subject), "the leaf is not a PCK certificate")
    for child, issuer in zip(chain, chain[1:] + chain[-1:]):
        need(child.issuer == issuer.subject, "a name does not match")
        key = public_key(issuer)
        need(isinstance(key, ec.EllipticCurvePublicKey), "not an EC key")
        try:
            key.verify(child.signature, child.tbs_certificate_bytes, ec.ECDSA(child.signature_hash_algorithm))
        except InvalidSignature:
            raise Refused("a certificate's signature is wrong") from None
        must_be_ca(issuer)
    must_be_pinned(chain[-1], roots)


def not_in(chain, at):
    """Names of the certificates that are not valid at that time."""
    def seconds(t):
        return (t - type(t)(1970, 1, 1)).total_seconds()

    return [cn(c.subject) for c in chain if not seconds(c.not_valid_before) <= at <= seconds(c.not_valid_after)]
