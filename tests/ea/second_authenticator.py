# SPDX-License-Identifier: LGPL-2.1-or-later
"""RFC 9261 and cmw_attestation once more, from the text alone: the two are held
against each other. Written to be read beside the RFC, not to be fast or kind."""

import hashlib
import hmac
import struct

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_CERTIFICATE_REQUEST, FINISHED = 11, 13, 15, 17, 20
SIGNATURE_ALGORITHMS = 13

# scheme: (digest, curve); RFC 8446 section 4.2.3
SCHEMES = {
    0x0403: (hashes.SHA256, ec.SECP256R1),
    0x0503: (hashes.SHA384, ec.SECP384R1),
    0x0804: (hashes.SHA256, None),
    0x0805: (hashes.SHA384, None),
    0x0806: (hashes.SHA512, None),
    0x0807: (None, None),
}


class Refused(Exception):
    pass


# Writing

def vector(size, content):
    return len(content).to_bytes(size, 'big') + content


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def extension(kind, data):
    return struct.pack('>H', kind) + vector(2, data)


def request(requester, context, schemes, code_point=None):
    body = vector(1, context)
    extensions = extension(SIGNATURE_ALGORITHMS, vector(2, b''.join(struct.pack('>H', s) for s in schemes)))
    if code_point is not None:
        extensions += extension(code_point, b'')
    kind = CERTIFICATE_REQUEST if requester == 'server' else CLIENT_CERTIFICATE_REQUEST
    return message(kind, body + vector(2, extensions))


def certificate_message(context, entries):
    """entries: of (DER, content of the extension list)"""
    return message(CERTIFICATE, vector(1, context) +
                   vector(3, b''.join(vector(3, der) + vector(2, extensions) for der, extensions in entries)))


def digest(keys, *parts):
    return hashlib.new(keys.hash, keys.context + b''.join(parts)).digest()


def signed_content(keys, request, certificate):
    return b' ' * 64 + b'Exported Authenticator\0' + digest(keys, request, certificate)


def finished_message(keys, *parts):
    return message(FINISHED, hmac.new(keys.key, digest(keys, *parts), keys.hash).digest())


class Keys:
    """What one connection exports for one sender."""

    def __init__(self, hash, sender, context, key):
        self.hash, self.sender, self.context, self.key = hash, sender, context, key


def sign(private, scheme, content):
    md, curve = SCHEMES[scheme]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(content)
    if curve:
        return private.sign(content, ec.ECDSA(md()))
    return private.sign(content, padding.PSS(padding.MGF1(md()), md.digest_size), md())


def make(keys, request, private, scheme, certificates, code_point=None, cmw=None):
    parsed = parse_request(request)
    entries = [(der, b'') for der in certificates]
    if cmw is not None:
        entries[0] = (entries[0][0], extension(code_point, vector(2, cmw)))
    certificate = certificate_message(parsed['context'], entries)
    signature = sign(private, scheme, signed_content(keys, request, certificate))
    verify = message(CERTIFICATE_VERIFY, struct.pack('>H', scheme) + vector(2, signature))
    return certificate + verify + finished_message(keys, request, certificate, verify)


def make_empty(keys, request):
    certificate = certificate_message(parse_request(request)['context'], [])
    return finished_message(keys, request, certificate)


# Reading

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Refused('cut short')
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), 'big')

    def vector(self, size):
        return Reader(self.take(self.number(size)))

    def message(self, kind):
        start = self.at
        if self.number(1) != kind:
            raise Refused('another message')
        body = self.vector(3)
        return body, self.data[start:self.at]

    def more(self):
        return self.at < len(self.data)

    def end(self):
        if self.more():
            raise Refused('trailing bytes')


def read_extensions(reader):
    extensions = {}
    while reader.more():
        kind = reader.number(2)
        if kind in extensions:
            raise Refused('an extension twice')
        extensions[kind] = reader.vector(2).data
    return extensions


def parse_request(data):
    outer = Reader(data)
    kind = data[0] if data else 0
    if kind not in (CERTIFICATE_REQUEST, CLIENT_CERTIFICATE_REQUEST):
        raise Refused('no request')
    body, _ = outer.message(kind)
    outer.end()
    context = body.vector(1).data
    extensions = read_extensions(body.vector(2))
    body.end()
    if SIGNATURE_ALGORITHMS not in extensions:
        raise Refused('no signature_algorithms')
    reader = Reader(extensions[SIGNATURE_ALGORITHMS])
    schemes = reader.vector(2)
    reader.end()
    if not schemes.data or len(schemes.data) % 2:
        raise Refused('no schemes')
    return {'kind': kind, 'context': context, 'extensions': extensions,
            'schemes': [s for s, in struct.iter_unpack('>H', schemes.data)]}


def spki_of(der):
    return x509.load_der_x509_certificate(der).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def check_signature(public, scheme, signature, content):
    if scheme not in SCHEMES:
        raise Refused('no scheme of ours')
    md, curve = SCHEMES[scheme]
    try:
        if isinstance(public, ed25519.Ed25519PublicKey) and scheme == 0x0807:
            public.verify(signature, content)
        elif isinstance(public, ec.EllipticCurvePublicKey) and curve and isinstance(public.curve, curve):
            public.verify(signature, content, ec.ECDSA(md()))
        elif isinstance(public, rsa.RSAPublicKey) and md and not curve and public.key_size >= 2048:
            public.verify(signature, content, padding.PSS(padding.MGF1(md()), md.digest_size), md())
        else:
            raise Refused('key and scheme')
    except InvalidSignature:
        raise Refused('CertificateVerify')


def validate(keys, request, authenticator, code_point):
    """Returns (SPKI, CMW or None, scheme, certificates)."""
    asked = parse_request(request)
    reader = Reader(authenticator)
    if authenticator[:1] == bytes([FINISHED]):
        if authenticator != make_empty(keys, request):
            raise Refused('empty and not authentic')
        raise Refused('empty')

    body, certificate = reader.message(CERTIFICATE)
    verify_body, verify = reader.message(CERTIFICATE_VERIFY)
    finished_body, _ = reader.message(FINISHED)
    reader.end()

    if body.vector(1).data != asked['context']:
        raise Refused('context')
    entries = body.vector(3)
    body.end()
    certificates, cmw = [], None
    while entries.more():
        der = entries.vector(3).data
        extensions = read_extensions(entries.vector(2))
        for kind, data in extensions.items():
            if kind != code_point or kind not in asked['extensions'] or certificates:
                raise Refused('extension')
            inner = Reader(data)
            cmw = inner.vector(2).data
            inner.end()
            if not cmw:
                raise Refused('no CMW')
        try:
            spki_of(der)
        except Exception as e:
            raise Refused('certificate') from e
        certificates.append(der)
    if not certificates:
        raise Refused('no certificate')

    scheme = verify_body.number(2)
    signature = verify_body.vector(2).data
    verify_body.end()
    if scheme not in asked['schemes']:
        raise Refused('scheme')
    public = x509.load_der_x509_certificate(certificates[0]).public_key()
    check_signature(public, scheme, signature, signed_content(keys, request, certificate))
    if message(FINISHED, finished_body.data) != finished_message(keys, request, certificate, verify):
        raise Refused('Finished')
    return spki_of(certificates[0]), cmw, scheme, certificates
