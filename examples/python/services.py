# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the two services are asked about one TLS connection: docs/any-language.md, sections 2 to 5.

This file is the one to copy. It wants a TLS library for the exporter (here pyOpenSSL), D-Bus (here
GDBus through gi) and a key that signs (here cryptography); it knows nothing of how requests and
authenticators travel, and does nothing of RFC 9261 itself.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from gi.repository import Gio, GLib

ATTESTER = "org.attestd.Attester1"
VERIFIER = "org.attestd.Verifier1"

# attestd's own limit for evidence is 20 s; the bus's default for a call would be 25 s.
CALL_MS = 40_000


class Binding:
    """What evidence is bound to: secrets of one TLS 1.3 connection, after its handshake."""

    def __init__(self, tls):
        """tls: an OpenSSL.SSL.Connection"""
        self.tls = tls
        # The hash of the suite that was negotiated. It decides the size of the RFC 9261 values, and of nothing else.
        self.hash = "sha384" if tls.get_cipher_name().endswith("SHA384") else "sha256"
        self.size = {"sha256": 32, "sha384": 48}[self.hash]

    def exported(self, context):
        """For the request with this context. Always 32 bytes; and the label has no prefix "EXPORTER-"."""
        return self.tls.export_keying_material(b"Attestation", 32, context)

    def keys(self, sender):
        """RFC 9261 section 5.1, for the authenticator that `sender`, "client" or "server", sends."""
        return {
            "handshake_context": self._key(f"EXPORTER-{sender} authenticator handshake context"),
            "finished_key": self._key(f"EXPORTER-{sender} authenticator finished key"),
        }

    def _key(self, label):
        # In TLS 1.3 an empty context is the same as none. (In TLS 1.2 it is not.)
        return GLib.Variant("ay", self.tls.export_keying_material(label.encode(), self.size, b""))


class Session:
    """One of org.attestd.Attester1 or org.attestd.Verifier1. It ends with our connection to the bus."""

    def __init__(self, bus, service, parameters):
        self.bus, self.service = bus, service
        self.path, = self._call(self.root, service, "OpenSession", GLib.Variant("(a{sv})", (parameters,)))

    @property
    def root(self):
        return "/" + self.service.replace(".", "/")

    def _call(self, path, interface, method, arguments):
        answer = self.bus.call_sync(self.service, path, interface, method, arguments, None,
                                    Gio.DBusCallFlags.NONE, CALL_MS, None)
        return answer.unpack()

    def call(self, method, signature="()", *arguments):
        return self._call(self.path, self.service + ".Session", method, GLib.Variant(signature, arguments))

    def property(self, name, of_session=True):
        path, interface = (self.path, self.service + ".Session") if of_session else (self.root, self.service)
        return self._call(path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (interface, name)))[0]

    def close_quietly(self):
        """Nothing that the service says now makes a difference."""
        try:
            self.call("Close")
        except GLib.Error:
            pass


class Verifier(Session):
    """Judges the peer's evidence."""

    def __init__(self, bus, binding, peer, policy, name, anchors):
        """peer: its end, "client" or "server"; policy: text, attestd.policy(5);
        name, anchors: who the peer must be, and the CAs (DER) that say so"""
        super().__init__(bus, VERIFIER, {
            "role": GLib.Variant("s", peer),  # of who attests
            "hash": GLib.Variant("s", binding.hash),
            "policy_text": GLib.Variant("s", policy),
            # The leaf of the authenticator must be of this name. Instead, "handshake_key" can
            # name the key of a handshake's certificate that we have verified ourselves.
            "peer_name": GLib.Variant("s", name),
            "trust_anchors": GLib.Variant("aay", anchors),
        })
        self.binding, self.peer = binding, peer

    def create_request(self):
        """(request, its context)"""
        request, context = self.call("CreateRequest", "(a{sv})", {})
        return bytes(request), bytes(context)

    def record_context(self, context):
        """To be told of each context that the peer has sent, before we answer it: or the peer could
        have us make, or take, an answer to an echo of our own request."""
        self.call("RecordContext", "(ay)", context)

    def validate(self, authenticator, context):
        """(accepted, result): accepted is the verdict, result["reason"] says why not."""
        return self.call("Validate", "(ayaya{sv})", authenticator, self.binding.exported(context),
                         self.binding.keys(self.peer))


class Attester(Session):
    """Gives evidence of this guest."""

    def __init__(self, bus, binding, role, certificates, key):
        """role: our end; certificates: DER, leaf first; key: the leaf's, of cryptography"""
        super().__init__(bus, ATTESTER, {
            "role": GLib.Variant("s", role),
            "hash": GLib.Variant("s", binding.hash),
        })
        self.binding, self.role, self.certificates, self.private_key = binding, role, certificates, key

    def answer(self, request, context):
        """The authenticator for a peer's request, with evidence in it."""
        handle, scheme, to_be_signed = self.call(
            "BeginAuthenticator", "(ayayaaya{sv})", request, self.binding.exported(context), self.certificates,
            self.binding.keys(self.role))
        signature = self.sign(scheme, bytes(to_be_signed))
        return bytes(self.call("FinishAuthenticator", "(tay)", handle, signature)[0])

    def decline(self, request):
        """The empty authenticator: that we give nothing, said by this very connection."""
        options = {**self.binding.keys(self.role), "decline": GLib.Variant("b", True)}
        handle, _, _ = self.call("BeginAuthenticator", "(ayayaaya{sv})", request, b"", [], options)
        return bytes(self.call("FinishAuthenticator", "(tay)", handle, b"")[0])

    def sign(self, scheme, to_be_signed):
        """A signature of TLS 1.3, but only one for an authenticator: who may choose what the key of
        a TLS server signs can be the server."""
        prefix = b" " * 64 + b"Exported Authenticator\0"
        if not to_be_signed.startswith(prefix) or len(to_be_signed) != len(prefix) + self.binding.size:
            raise ValueError("attestd wants something signed that is no authenticator")

        digest = {0x0403: hashes.SHA256(), 0x0503: hashes.SHA384(),                            # ECDSA
                  0x0804: hashes.SHA256(), 0x0805: hashes.SHA384(), 0x0806: hashes.SHA512(),   # RSA-PSS
                  0x0807: None}[scheme]                                                        # Ed25519
        if isinstance(self.private_key, ed25519.Ed25519PrivateKey):
            return self.private_key.sign(to_be_signed)
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return self.private_key.sign(to_be_signed, ec.ECDSA(digest))  # in DER, as TLS wants it
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            salt = padding.PSS(padding.MGF1(digest), digest.digest_size)  # as long as the hash
            return self.private_key.sign(to_be_signed, salt, digest)
        raise ValueError("the key is of no kind that can sign an authenticator")

    def is_stale(self):
        """Has the guest changed since the newest evidence of this session? To lose attestd is a change too.
        A program with a main loop of GLib hears the signal Stale instead of asking."""
        try:
            return self.property("Stale")
        except GLib.Error:
            return True

    def state(self):
        """(boot id, instance id, generation) of the guest now"""
        return (bytes.fromhex(self.property("BootId", False)), bytes.fromhex(self.property("InstanceId", False)),
                self.property("Generation", False))
