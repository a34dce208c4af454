# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_differential.py EA-TOOL: what one implementation makes the other validates,
and what one refuses the other refuses."""

import datetime
import os
import random
import struct
import subprocess
import sys
import unittest

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import NameOID
except ImportError as e:
    print('skipped: %s' % e)
    sys.exit(77)

import second_authenticator as second

TOOL = None
SEED = int(os.environ.get('EA_SEED', '0')) or random.SystemRandom().getrandbits(32)
ROUNDS = int(os.environ.get('EA_ROUNDS', '60'))
MUTATIONS = int(os.environ.get('EA_MUTATIONS', '600'))
CODE_POINT = 0xff00


class Tool:
    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *fields):
        words = [f.hex() or '-' if isinstance(f, bytes) else '-' if f is None else str(f) for f in fields]
        self.process.stdin.write(' '.join(words) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer, 'the tool has died'
        if answer[0] == 'no':
            raise second.Refused(' '.join(answer[1:]))
        return answer[1:]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def unhex(word):
    return None if word == '-' else bytes.fromhex(word)


def certificate(name, key, issuer_name, issuer_key):
    def named(cn):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])

    start = datetime.datetime(2026, 1, 1)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = (x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer_name))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=3650)))
    return builder.sign(issuer_key, digest).public_bytes(serialization.Encoding.DER)


class Identity:
    def __init__(self, key, schemes, ca_key):
        self.key, self.schemes = key, schemes
        self.pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption())
        self.certificates = [certificate('leaf', key, 'CA', ca_key), certificate('CA', ca_key, 'CA', ca_key)]


class Exchange:
    """Random inputs of one exchange."""

    def __init__(self, rng, identity, tool):
        self.identity = identity
        self.sender = rng.choice(['client', 'server'])
        self.requester = 'server' if self.sender == 'client' else 'client'
        hash = rng.choice(['sha256', 'sha384'])
        size = 32 if hash == 'sha256' else 48
        self.keys = second.Keys(hash, self.sender, rng.randbytes(size), rng.randbytes(size))
        self.code_point = rng.choice([CODE_POINT, 0xffff, 0x1234])
        self.asks = rng.random() < 0.8
        self.scheme = rng.choice(identity.schemes)
        if rng.random() < 0.5:
            offered = [self.scheme] + [rng.choice(list(second.SCHEMES) + [0x0401, 0x0203]) for _ in range(rng.randrange(5))]
            rng.shuffle(offered)
            self.request = second.request(self.requester, rng.randbytes(rng.choice([0, 1, 32, 255])), offered,
                                          self.code_point if self.asks else None)
        else:
            self.request = unhex(tool('request', self.requester, '%04x' % (self.code_point if self.asks else 0))[0])
        self.cmw = None
        if self.asks and rng.random() < 0.8:
            self.cmw = rng.randbytes(rng.choice([1, 10, 5000, 65529]))
        self.certificates = identity.certificates[:rng.choice([1, 2])]

    def arguments(self):
        return [self.keys.hash, self.sender, self.keys.context, self.keys.key, self.request]

    def make(self, scheme=None):
        return second.make(self.keys, self.request, self.identity.key, scheme or self.scheme, self.certificates,
                           self.code_point, self.cmw)

    def tool_validates(self, tool, authenticator, arguments=None):
        answer = tool('validate', *(arguments or self.arguments()), '%04x' % self.code_point, authenticator)
        return unhex(answer[0]), unhex(answer[1]), int(answer[2], 16), [unhex(w) for w in answer[3:]]

    def second_validates(self, authenticator, keys=None, request=None):
        return second.validate(keys or self.keys, request or self.request, authenticator, self.code_point)


def verdict(call, *arguments):
    try:
        return call(*arguments)
    except second.Refused:
        return None


class Differential(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print('EA_SEED=%d' % SEED)
        ca_key = ec.generate_private_key(ec.SECP256R1())
        cls.identities = [
            Identity(ed25519.Ed25519PrivateKey.generate(), [0x0807], ca_key),
            Identity(ec.generate_private_key(ec.SECP256R1()), [0x0403], ca_key),
            Identity(ec.generate_private_key(ec.SECP384R1()), [0x0503], ca_key),
            Identity(rsa.generate_private_key(65537, 2048), [0x0804, 0x0805, 0x0806], ca_key),
        ]

    def setUp(self):
        self.rng = random.Random(SEED)
        self.tool = Tool()

    def tearDown(self):
        self.tool.close()

    def exchanges(self, n):
        for i in range(n):
            yield Exchange(self.rng, self.identities[i % len(self.identities)], self.tool)

    def test_tool_validates_what_the_second_makes(self):
        for x in self.exchanges(ROUNDS):
            for scheme in x.identity.schemes:
                authenticator = x.make(scheme)
                expected = (second.spki_of(x.certificates[0]), x.cmw, scheme, x.certificates)
                if scheme in second.parse_request(x.request)['schemes']:
                    self.assertEqual(x.tool_validates(self.tool, authenticator), expected)
                    self.assertEqual(x.second_validates(authenticator), expected)
                else:
                    self.assertIsNone(verdict(x.tool_validates, self.tool, authenticator))
                    self.assertIsNone(verdict(x.second_validates, authenticator))

    def test_second_validates_what_the_tool_makes(self):
        for x in self.exchanges(ROUNDS):
            made = unhex(self.tool('make', *x.arguments(), '%04x' % x.code_point, x.cmw, x.identity.pkcs8,
                                   *x.certificates)[0])
            spki, cmw, scheme, certificates = x.second_validates(made)
            self.assertEqual((spki, cmw, certificates), (second.spki_of(x.certificates[0]), x.cmw, x.certificates))
            self.assertIn(scheme, x.identity.schemes)
            if scheme == 0x0807:  # no randomness: the same to the byte
                self.assertEqual(made, x.make(scheme))

    def test_empty_authenticators_are_the_same_and_refused_by_both(self):
        for x in self.exchanges(ROUNDS):
            made = unhex(self.tool('empty', *x.arguments())[0])
            self.assertEqual(made, second.make_empty(x.keys, x.request))
            with self.assertRaisesRegex(second.Refused, '^empty$'):
                x.second_validates(made)
            with self.assertRaisesRegex(second.Refused, '^empty-authenticator: '):
                x.tool_validates(self.tool, made)

    def test_both_refuse_other_keys_and_another_request(self):
        for x in self.exchanges(ROUNDS):
            authenticator = x.make()
            self.assertIsNotNone(verdict(x.tool_validates, self.tool, authenticator))
            for which in range(3):
                context, key, request = bytearray(x.keys.context), bytearray(x.keys.key), bytearray(x.request)
                changed = (context, key, request)[which]
                at = self.rng.randrange(len(changed)) if which < 2 else len(changed) - 1
                changed[at] ^= 1 << self.rng.randrange(8)
                keys = second.Keys(x.keys.hash, x.sender, bytes(context), bytes(key))
                arguments = [x.keys.hash, x.sender, bytes(context), bytes(key), bytes(request)]
                self.assertIsNone(verdict(x.tool_validates, self.tool, authenticator, arguments))
                self.assertIsNone(verdict(x.second_validates, authenticator, keys, bytes(request)))

    def mutate(self, data):
        data = bytearray(data)
        for _ in range(self.rng.choice([1, 1, 2, 4])):
            at = self.rng.randrange(len(data)) if data else 0
            kind = self.rng.randrange(5)
            if kind == 0 and data:
                data[at] ^= 1 << self.rng.randrange(8)
            elif kind == 1 and data:
                data[at] = self.rng.choice([0, 1, 0x7f, 0x80, 0xff])
            elif kind == 2:
                del data[at:at + self.rng.choice([1, 2, 32])]
            elif kind == 3:
                data[at:at] = self.rng.randbytes(self.rng.choice([1, 2, 32]))
            else:
                del data[at:]
        return bytes(data)

    def test_both_judge_a_broken_authenticator_alike(self):
        x = None
        for i in range(MUTATIONS):
            if i % 20 == 0:
                x = next(self.exchanges(1))
                good = x.make()
            bad = self.mutate(good)
            self.assertEqual(verdict(x.tool_validates, self.tool, bad), verdict(x.second_validates, bad), bad.hex())

    def test_both_judge_an_unorthodox_authenticator_alike(self):
        """Authentic in its proofs, but with a structure that was put together at random."""
        accepted = 0
        for x in self.exchanges(MUTATIONS // 2):
            context = second.parse_request(x.request)['context']
            if self.rng.random() < 0.1:
                context = self.rng.randbytes(self.rng.choice([0, 32]))
            entries = []
            for i in range(self.rng.choice([0, 1, 1, 2, 2, 3])):
                extensions = b''
                for _ in range(self.rng.choice([0, 0, 0, 1, 2])):
                    kind = self.rng.choice([x.code_point, x.code_point, 5, 13])
                    data = self.rng.choice([b'', b'\0\0', b'\0\1x', b'\0\1xy', b'\0\2x'])
                    extensions += second.extension(kind, data)
                entries.append((self.rng.choice(x.identity.certificates) if i else x.certificates[0], extensions))
            certificate = second.certificate_message(context, entries)
            scheme = self.rng.choice([x.scheme, x.scheme, x.scheme, 0x0403])
            content = second.signed_content(x.keys, x.request, certificate)
            signature = second.sign(x.identity.key, x.scheme, content)
            verify = second.message(second.CERTIFICATE_VERIFY,
                                    struct.pack('>H', scheme) + second.vector(2, signature))
            whole = certificate + verify + second.finished_message(x.keys, x.request, certificate, verify)
            if self.rng.random() < 0.1:
                whole += self.rng.choice([b'x', whole, verify])
            expected = verdict(x.second_validates, whole)
            self.assertEqual(verdict(x.tool_validates, self.tool, whole), expected, whole.hex())
            accepted += expected is not None
        self.assertGreater(accepted, 0)


if __name__ == '__main__':
    TOOL = sys.argv.pop(1)
    unittest.main()
