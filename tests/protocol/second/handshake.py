# SPDX-License-Identifier: LGPL-2.1-or-later
"""RFC 9261 with cmw_attestation: requests, authenticators, and their validation."""
import hashlib
import hmac
from dataclasses import dataclass
from typing import Optional

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from . import Refused, need

CODE_POINT = 0xFF00
SIGNATURE_ALGORITHMS = 13
CMW_MAX = 65529


class Cursor:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        need(n <= len(self.data), "ends too early")
        got, self.data = self.data[:n], self.data[n:]
        return got

    def uint(self, n):
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        return Cursor(self.take(self.uint(n)))

    def done(self):
        need(not self.data, "bytes after the end")


def message(cursor):
    """-> type, body, the framed bytes"""
    whole = cursor.data
    kind, size = cursor.uint(1), cursor.uint(3)
    body = cursor.take(size)
    return kind, Cursor(body), whole[:4 + size]


def extensions(cursor):
    got = {}
    while cursor.data:
        kind = cursor.uint(2)
        need(kind not in got, "an extension twice")
        got[kind] = cursor.vector(2).data
    return got


@dataclass
class Request:
    kind: int
    context: bytes
    extensions: dict
    schemes: list


def request(data):
    cursor = Cursor(data)
    kind, body, _ = message(cursor)
    cursor.done()
    need(kind in (13, 17), "not a request")
    context = body.vector(1).data
    exts = extensions(body.vector(2))
    body.done()
    need(SIGNATURE_ALGORITHMS in exts, "no signature_algorithms")
    algorithms = Cursor(exts[SIGNATURE_ALGORITHMS])
    listed = algorithms.vector(2)
    algorithms.done()
    need(listed.data and len(listed.data) % 2 == 0, "signature_algorithms")
    return Request(kind, context, exts, [listed.uint(2) for _ in range(len(listed.data) // 2)])


@dataclass
class Authenticator:
    context: bytes
    entries: list  # of (DER, extensions)
    scheme: int
    signature: bytes
    verify_data: bytes
    certificate_message: bytes
    verify_message: bytes


def authenticator(data, hash_size):
    """None for the empty authenticator."""
    cursor = Cursor(data)
    kind, body, certificate_message = message(cursor)
    if kind == 20:
        cursor.done()
        need(len(body.data) == hash_size, "verify_data")
        return None
    need(kind == 11, "not a Certificate")
    context = body.vector(1).data
    listed = body.vector(3)
    body.done()
    entries = []
    while listed.data:
        der = listed.vector(3).data
        need(der, "an empty certificate")
        entries.append((der, extensions(listed.vector(2))))
    need(entries, "no certificate")

    kind, body, verify_message = message(cursor)
    need(kind == 15, "not a CertificateVerify")
    scheme, signature = body.uint(2), body.vector(2).data
    body.done()
    kind, body, _ = message(cursor)
    need(kind == 20 and len(body.data) == hash_size, "not a Finished")
    cursor.done()
    return Authenticator(context, entries, scheme, signature, body.data, certificate_message, verify_message)


def public_key(certificate):
    """Of a certificate, or of the DER of one."""
    try:
        if isinstance(certificate, bytes):
            certificate = x509.load_der_x509_certificate(certificate)
        return certificate.public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as e:
        raise Refused(f"no usable certificate: {e}") from None


def verify_signature(key, scheme, signature, signed):
    ecdsa = {0x0403: (ec.SECP256R1, hashes.SHA256), 0x0503: (ec.SECP384R1, hashes.SHA384)}
    pss = {0x0804: hashes.SHA256, 0x0805: hashes.SHA384, 0x0806: hashes.SHA512}
    try:
        if scheme == 0x0807 and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif scheme in ecdsa and isinstance(key, ec.EllipticCurvePublicKey):
            curve, digest = ecdsa[scheme]
            need(isinstance(key.curve, curve), "certificate-verify: the curve is not the scheme's")
            key.verify(signature, signed, ec.ECDSA(digest()))
        elif scheme in pss and isinstance(key, rsa.RSAPublicKey):
            digest = pss[scheme]
            key.verify(signature, signed, padding.PSS(padding.MGF1(digest()), digest.digest_size), digest())
        else:
            raise Refused("certificate-verify: the key cannot make this scheme")
    except InvalidSignature:
        raise Refused("certificate-verify: wrong signature") from None


@dataclass
class Identity:
    chain: list  # of DER, leaf first
    spki: bytes
    cmw: Optional[bytes]
    scheme: int


def raw_spki(der):
    """SubjectPublicKeyInfo as it stands in the certificate: the sixth or seventh of TBSCertificate."""
    def element(data):
        need(len(data) >= 2, "DER ends")
        size, at = data[1], 2
        if size & 0x80:
            n = size & 0x7F
            need(1 <= n <= 4 and len(data) >= 2 + n, "DER length")
            size, at = int.from_bytes(data[2:2 + n], "big"), 2 + n
        need(len(data) >= at + size, "DER ends")
        return data[0], data[at:at + size], data[:at + size], data[at + size:]

    _, certificate, _, rest = element(der)
    need(not rest, "bytes after the certificate")
    _, tbs, _, _ = element(certificate)
    fields = []
    while tbs:
        tag, _, whole, tbs = element(tbs)
        if tag != 0xA0:
            fields.append(whole)
    need(len(fields) >= 6, "not a certificate")
    return fields[5]


def validate(hash_name, handshake_context, finished_key, request_bytes, data, code_point=CODE_POINT):
    """RFC 9261 section 5.2.4, but for the chain."""
    asked = request(request_bytes)
    got = authenticator(data, hashlib.new(hash_name).digest_size)
    need(got is not None, "empty-authenticator: the peer has nothing to show")
    need(hmac.compare_digest(got.context, asked.context), "context-mismatch: for another request")
    need(got.scheme in asked.schemes, "scheme-not-offered: that was not asked for")
    for i, (_, exts) in enumerate(got.entries):
        need(set(exts) <= set(asked.extensions), "extension-not-offered: that was not asked for")
        need(i == 0 or code_point not in exts, "extension-wrong-entry: evidence belongs in the first entry")

    digest = hashlib.new(hash_name, handshake_context + request_bytes + got.certificate_message)
    leaf = got.entries[0][0]
    verify_signature(public_key(leaf), got.scheme, got.signature, b" " * 64 + b"Exported Authenticator\0" + digest.digest())
    digest.update(got.verify_message)
    need(hmac.compare_digest(hmac.digest(finished_key, digest.digest(), hash_name), got.verify_data),
         "finished: the MAC is wrong")

    cmw = None
    if code_point in got.entries[0][1]:
        inner = Cursor(got.entries[0][1][code_point])
        cmw = inner.vector(2).data
        inner.done()
        need(cmw, "cmw-malformed: empty")
    return Identity([der for der, _ in got.entries], raw_spki(leaf), cmw, got.scheme)


def binding(hash_name, spki, exported):
    need(len(exported) == 32, "exported value")
    return hashlib.new(hash_name, spki + exported).digest()


def spki_of(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
