# SPDX-License-Identifier: LGPL-2.1-or-later
"""The native mode of docs/protocol.md, section 6: from the hello to the end every byte on the TLS
connection is in a frame. For peers on libattestd; a protocol of your own carries requests and
authenticators in its own way, by the same rules of who may send what when."""

import contextlib
import time

import cbor
from gi.repository import GLib
from OpenSSL import SSL

HELLO, REQUEST, AUTHENTICATOR, ACCEPTED, REFUSED, STALE, LOG_REQUEST, LOG_ENTRIES, DATA, END = range(10)
# Limits of payloads; a type that is not here is not received.
LIMITS = {HELLO: 4096, REQUEST: 16 << 10, AUTHENTICATOR: 128 << 10, ACCEPTED: 4096, REFUSED: 4096, STALE: 4096,
          LOG_REQUEST: 4096, DATA: 16 << 10, END: 0}

PROFILE = "tag:attestd.org,2026:evidence/1"
FORMAT = "application/vnd.veraison.tsm-report+cbor"

MAX_AGE = 600         # seconds, of evidence; then we ask again
INBOX_MAX = 1 << 20   # of data that the peer sends while we wait for something else


class Refused(Exception):
    """Why there is no connection (any more). The peer is told."""

    def __init__(self, reason, context=b""):
        """reason: a name of docs/protocol.md section 10, ": ", a sentence; context: of the request that it is about"""
        super().__init__(reason)
        self.reason, self.context = reason, context


class Lost(Exception):
    """The peer has refused, or gone; it need not be told."""


def decode(payload, **types):
    """A map with keys 1, 2, ... of these names and types; its values in order."""
    try:
        value = cbor.decode(payload)
        values = [value[i] for i in range(1, len(types) + 1)]
    except (ValueError, TypeError, LookupError):
        raise Refused("protocol-error: a frame that cannot be read") from None
    if not isinstance(value, dict) or any(type(v) is not t for v, t in zip(values, types.values())):
        raise Refused("protocol-error: a frame with something else in it")
    return values


class Connection:
    """Reads and writes only while both ends are content with each other's evidence."""

    def __init__(self, tls, verifier=None, attester=None, is_server=False):
        """tls: after its handshake. verifier: we ask. attester: we give."""
        self.tls, self.verifier, self.attester, self.is_server = tls, verifier, attester, is_server
        self.peer_asks = None     # until its hello is there
        self.peer_ended = False
        self.inbox = b""

        # As relying party.
        self.asked = None         # context of our request that the peer has not answered
        self.asked_at = 0
        self.asked_void = False   # the peer's state has changed since
        self.accepted_at = None   # when the evidence was asked for that we have accepted
        self.peer_has_shown = False
        self.peer_state = None    # of its last stale

        # As attester.
        self.held = None          # the peer's request, while we do not trust the peer
        self.answered = None      # context of our newest answer, on which there is no verdict yet
        self.answered_void = False
        self.is_trusted = self.was_trusted = False

    def open(self):
        """After it both ends have said yes. Refused, Lost."""
        with self._telling_the_peer():
            self._send_cbor(HELLO, {1: 1, 2: [PROFILE], 3: [FORMAT], 4: False, 5: self.verifier is not None,
                                    6: self.attester is not None})
            self._wait_until_open()

    def write(self, data):
        for at in range(0, len(data), LIMITS[DATA]):
            with self._telling_the_peer():
                self._tell_if_stale()
                if self.verifier and self.asked is None and time.monotonic() - self.accepted_at > MAX_AGE:
                    self._ask()
                self._wait_until_open()
            self._send(DATA, data[at:at + LIMITS[DATA]])

    def read(self):
        """Some data; b"" only when the peer has said that it ends."""
        with self._telling_the_peer():
            while not self.inbox and not self.peer_ended:
                self._step(for_ever=True)
        data, self.inbox = self.inbox, b""
        return data

    def end(self):
        """We send no more, and wait until the peer has said so too."""
        self._send(END)
        self.tls.shutdown()
        while not self.peer_ended:
            self._step()
        # To its close_notify: closed over unread bytes, a socket resets the peer.
        try:
            while True:
                self.tls.recv(4096)
        except SSL.Error:
            pass

    # ----- frames

    def _send(self, kind, payload=b""):
        try:
            self.tls.sendall(bytes([kind]) + len(payload).to_bytes(4, "big") + payload)
        except SSL.Error as e:
            raise Lost("the peer does not read") from e

    def _send_cbor(self, kind, value):
        self._send(kind, cbor.encode(value))

    def _read_exactly(self, size, for_ever=False):
        data = b""
        while len(data) < size:
            try:
                data += self.tls.recv(size - len(data))
            except SSL.WantReadError:  # the time limit of the socket
                if not (for_ever and not data):
                    raise Refused("timed-out: the peer owes an answer") from None
            except SSL.ZeroReturnError:
                raise Lost("the peer closed the connection without the frame \"end\"") from None
            except SSL.Error:
                raise Lost("the connection was cut") from None
        return data

    def _step(self, for_ever=False):
        """Takes in one frame, and does what it calls for."""
        header = self._read_exactly(5, for_ever)
        kind, size = header[0], int.from_bytes(header[1:], "big")
        if kind not in LIMITS or size > LIMITS[kind]:  # before there is room for the payload
            raise Refused(f"protocol-error: a frame of type {kind} with {size} bytes")
        if (kind == HELLO) != (self.peer_asks is None) or self.peer_ended:
            raise Refused(f"protocol-error: a frame of type {kind} now")
        payload = self._read_exactly(size)
        {HELLO: self._on_hello, REQUEST: self._on_request, AUTHENTICATOR: self._on_authenticator,
         ACCEPTED: self._on_accepted, REFUSED: self._on_refused, STALE: self._on_stale,
         LOG_REQUEST: self._on_log_request, DATA: self._on_data, END: self._on_end}[kind](payload)

    @contextlib.contextmanager
    def _telling_the_peer(self):
        """Around what may be refused: the peer hears why, and the connection ends."""
        try:
            yield
        except GLib.Error as e:  # a service does not do its part, and no verdict is a no
            self._refuse(Refused("service-unavailable: a service of this end does not do its part"))
            raise Refused(f"service-unavailable: {e.message}") from e
        except Refused as e:
            self._refuse(e)
            raise

    def _refuse(self, error):
        try:
            self._send_cbor(REFUSED, {1: error.context, 2: error.reason})
            self.tls.shutdown()
        except (Lost, SSL.Error):
            pass

    def _on_hello(self, payload):
        version, profiles, formats, _, self.peer_asks, _ = decode(
            payload, version=int, profiles=list, formats=list, batch=bool, asks=bool, gives=bool)
        if version < 1:
            raise Refused(f"protocol-error: a hello of version {version}")
        if not self.verifier and not self.peer_asks:
            raise Refused("protocol-error: neither end asks for evidence")
        if self.peer_asks and not self.attester:
            raise Refused("attestation-missing: this end gives no evidence")
        if PROFILE not in profiles:
            raise Refused("no-common-profile: the peer does not speak the profile of this end")
        if FORMAT not in formats:
            raise Refused("no-common-format: the peer does not speak the evidence format of this end")
        if self.verifier:  # whatever the peer says that it gives
            self._ask()

    def _on_refused(self, payload):
        _, reason = decode(payload, context=bytes, reason=str)
        raise Lost(f"by the peer: {reason!r}")

    def _on_end(self, _):
        self.peer_ended = True

    # ----- the gate

    def _is_open(self):
        return (not self.verifier or (self.accepted_at is not None and self.asked is None)) and \
               (not self.peer_asks or self.is_trusted)

    def _wait_until_open(self):
        while self.peer_asks is None or not self._is_open():
            if self.peer_ended:
                raise Lost("the peer has ended")
            self._step()

    def _on_data(self, payload):
        # The peer may send what rests on verdicts that have run out meanwhile, but not before there were any.
        if not payload or (self.verifier and self.accepted_at is None) or (self.peer_asks and not self.was_trusted):
            raise Refused("protocol-error: data now")
        if len(self.inbox) + len(payload) > INBOX_MAX:
            raise Refused("protocol-error: too much data before the answer")
        self.inbox += payload

    # ----- as relying party

    def _ask(self):
        request, self.asked = self.verifier.create_request()
        self.asked_at, self.asked_void = time.monotonic(), False
        self._send(REQUEST, request)

    def _on_authenticator(self, payload):
        if self.asked is None:
            raise Refused("protocol-error: an authenticator that nobody asked for")
        context, self.asked, self.peer_has_shown = self.asked, None, True
        if self.asked_void:
            self._ask()
            return
        accepted, result = self.verifier.validate(payload, context)
        if not accepted:
            raise Refused(result["reason"] or "the verifier gave no reason", context)
        if self.peer_state:
            *ids, generation = self.peer_state
            if ids == [result.get("boot_id"), result.get("instance_id")] and result.get("generation", 0) < generation:
                raise Refused("evidence-stale: it speaks of an older generation than the peer has told of", context)
        self.accepted_at = self.asked_at
        self._send_cbor(ACCEPTED, {1: context})
        self._answer_held()

    def _on_stale(self, payload):
        """What we know of the peer is over, and nothing goes out until it has shown itself anew."""
        if not self.peer_has_shown:
            raise Refused("protocol-error: stale without an authenticator before it")
        boot, instance, generation, _ = decode(payload, boot=bytes, instance=bytes, generation=int, reasons=list)
        self.peer_state = boot.hex(), instance.hex(), generation
        self.peer_has_shown, self.accepted_at = False, None
        if self.asked is None:
            self._ask()
        else:
            self.asked_void = True

    # ----- as attester

    def _on_request(self, payload):
        if not self.peer_asks or self.held is not None:
            raise Refused("protocol-error: a request now")
        self.held = payload
        self._answer_held()

    def _answer_held(self):
        # A server that asks as well shows itself only to a client that it trusts.
        if self.held is None or (self.is_server and self.verifier and self.accepted_at is None):
            return
        request, self.held = self.held, None
        # Type, 3 bytes of size, then the context with its size before it. The service reads all of it.
        context = request[5:5 + request[4]] if len(request) > 4 else b""
        if not context:
            raise Refused("malformed-request: it has no context")
        if self.verifier:
            try:
                self.verifier.record_context(context)
            except GLib.Error as e:
                raise Refused("context-reused: it was used on this connection", context) from e
        try:
            authenticator = self.attester.answer(request, context)
        except (GLib.Error, ValueError) as e:
            print(f"no evidence for the peer: {e}")
            authenticator = self.attester.decline(request)
        self.answered, self.answered_void, self.is_trusted = context, False, False
        self._send(AUTHENTICATOR, authenticator)

    def _on_log_request(self, payload):
        """The peer's policy needs a log beside our evidence. docs/any-language.md says how to give one."""
        log, first = decode(payload, log=str, first=int)
        if self.answered is None or log not in ("ima", "boot", "register"):
            raise Refused("protocol-error: a log request now")
        self._send_cbor(LOG_ENTRIES, {1: log, 2: first, 3: b"", 4: "", 5: False, 6: "logs are not given"})

    def _on_accepted(self, payload):
        context, = decode(payload, context=bytes)
        if context != self.answered:
            raise Refused("protocol-error: accepted is about another context than our newest answer")
        self.answered, self.was_trusted = None, True
        self.is_trusted = not self.answered_void  # if not, it has crossed our stale

    def _tell_if_stale(self):
        """The guest has changed since the evidence that the peer accepted: it hears so before it gets more."""
        if self.is_trusted and self.attester.is_stale():
            boot, instance, generation = self.attester.state()
            self.is_trusted, self.answered_void = False, True
            self._send_cbor(STALE, {1: boot, 2: instance, 3: generation, 4: []})
