#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who asks and who gives: server, client and both, in native and compat mode, with
every suite and key; what comes back to its maker; and peers that speak anything
but the protocol, while others go on. All with both services running."""

import contextlib
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "lib")]
import private_guest  # noqa: E402

private_guest.enter()

import cbor2  # noqa: E402
import test_exchange  # noqa: E402

HELLO, REQUEST, AUTHENTICATOR, ACCEPTED, REFUSED, STALE, LOG_REQUEST, LOG_ENTRIES, DATA, END = range(10)
PROFILE = "tag:attestd.org,2026:evidence/1"
FORMAT = "application/vnd.veraison.tsm-report+cbor"
SUITES = "sha256", "sha384"


class Exchange(test_exchange.Exchange):
    """An attested-server and an attested-client, each with a leaf for its name."""

    def setUp(self):
        super().setUp()
        self.client_leaf = self.pki.leaf("client.test")

    def asks(self, peer, policy=None):
        """What an end is told that demands evidence of this peer."""
        return ["--ca", str(self.pki.ca_file), "--name", peer, "--policy-file", policy or self.policy]

    def connect(self, direction, *arguments, kind="p256", policy=None):
        """An exchange in this direction. Returns: what the client came to, and the server."""
        server, client = [], ["--verbose", *arguments]
        if direction in ("server", "mutual"):
            server += ["--give"] if direction == "mutual" else ["--give-to-anyone"]
            client += self.asks("server.test", policy)
        if direction in ("client", "mutual"):
            server += self.asks("client.test", policy)
            client += ["--give", *self.pki.leaf("client.test", kind)]
        server = self.server(*server, *arguments, leaf=self.pki.leaf("server.test", kind))
        argv = [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}", "--message", "hello"]
        return self.guest.run([*argv, *client]), server

    def connects(self, direction, *arguments, **options):
        ran, server = self.connect(direction, *arguments, **options)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr + server.process.log())
        self.assertRegex(ran.stdout, r"(?m)^accepted$")
        self.assertRegex(ran.stdout, r"(?m)^hello$")
        accepted = "accepted" if direction == "server" else "accepted, and accepted the client"
        self.assertEqual(server.until("accepted"), accepted)
        return ran.stdout

    def is_refused(self, direction, reason, *arguments, **options):
        """By the client, if it asks; else the server says so, and the client hears of it."""
        ran, server = self.connect(direction, *arguments, **options)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertNotRegex(ran.stdout, r"(?m)^hello$")
        said = server.until("refused: ") if direction == "client" else ran.stdout
        self.assertRegex(said, rf"(?m)^refused: .*{reason}")
        return ran.stdout


class Native(Exchange):
    def test_every_direction_with_every_suite_and_key(self):
        for direction in "server", "client", "mutual":
            for suite in SUITES:
                for kind in test_exchange.KEYS:
                    with self.subTest(direction, suite=suite, key=kind):
                        output = self.connects(direction, "--suite", suite, kind=kind)
                        self.assertIn("_SHA384" if suite == "sha384" else "_SHA256", output)

    def test_every_direction_is_refused_by_a_policy_that_says_no(self):
        strict = self.write_policy("strict", "machine ppid 00000000000000000000000000000000\n")
        for direction in "server", "client", "mutual":
            with self.subTest(direction):
                self.is_refused(direction, "machine: ", policy=strict)


class Granted(Exchange):
    """The caller may have evidence of the profiles without claims."""

    def configure(self):
        folder = self.guest.configuration / "attestd.conf.d"
        folder.mkdir(exist_ok=True)
        (folder / "50-profiles.conf").write_text("[Profile expat-pad]\nUids=0\n[Profile cocos]\nUids=0\n")
        self.policy = self.write_policy("profiles", "profile evidence/1\nprofile expat-pad\nprofile cocos\n")


class Compat(Granted):
    def test_every_direction_with_every_suite_and_profile(self):
        for direction in "server", "client", "mutual":
            for suite in SUITES:
                for profile in "expat-pad", "cocos":
                    with self.subTest(direction, suite=suite, profile=profile):
                        output = self.connects(direction, "--compat", "--suite", suite, "--profile", profile)
                        for frame in "hello", "accepted", "data", "end":
                            self.assertNotIn(f"client: sends {frame}", output)

    def test_the_native_mode_takes_these_profiles_too(self):
        for profile in "expat-pad", "cocos":
            self.connects("mutual", "--profile", profile)

    def test_a_refusal_is_an_end_without_data(self):
        strict = self.write_policy("strict", "profile cocos\nmachine ppid 00000000000000000000000000000000\n")
        ran, server = self.connect("server", "--compat", "--profile", "cocos", policy=strict)
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stdout, r"(?m)^refused: machine: ")
        self.assertEqual(server.line(), "accepted")  # it hears of no verdict
        self.connects("server", "--compat", "--profile", "cocos")

    def test_sc05_one_key_at_both_ends_is_refused(self):
        policy = self.write_policy("any", "peer any\nprofile expat-pad\nprofile cocos\n")
        for mode in [], ["--compat"]:
            for profile in "expat-pad", "cocos":
                with self.subTest(profile, mode=mode):
                    mode_and_profile = [*mode, "--profile", profile]
                    server = self.server("--give-to-anyone", "--policy-file", policy, *mode_and_profile)
                    argv = [*self.client_argv(server, "--message", "x", name=None, policy=policy), *mode_and_profile]
                    ran = self.guest.run([*argv, "--give", *self.leaf])
                    self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
                    self.assertIn("the peer's key is our own", ran.stdout + server.line())  # who is first says so
                    ran = self.guest.run([*argv, "--give", *self.client_leaf])
                    self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_modes_do_not_mix(self):
        native = self.server("--give-to-anyone", "--profile", "cocos")
        self.refused(native, "no-attestation: the peer speaks the native mode", "--compat", "--profile", "cocos")
        compat = self.server("--give-to-anyone", "--profile", "cocos", "--compat")
        self.refused(compat, "", "--profile", "cocos")
        self.assertIn("no-attestation: the peer speaks the native mode", compat.until("ended: "))
        self.accepted(compat, "--profile", "cocos", "--compat")

    def test_takes_a_profile_without_claims(self):
        for profile in [], ["--profile", "evidence/1"]:
            ran = self.guest.run([self.guest.program("attested-server"), *self.leaf, "--compat", *profile])
            self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)

    def test_evidence_of_a_profile_that_is_not_granted_is_refused(self):
        other = self.server("--give-to-anyone", "--profile", "cocos", "--compat", user="nobody")
        self.guest.polkit.verdict = "allow"
        self.refused(other, "empty-authenticator", "--profile", "cocos", "--compat")
        self.assertIn("org.attestd.Error.ProfileNotGranted", other.until("ended: "))

    def setUp(self):
        super().setUp()
        for path in self.leaf[1], self.leaf[3]:
            os.chmod(path, 0o644)


class Reflection(Granted):
    def test_sc05_what_an_end_shows_is_refused_when_it_comes_back(self):
        program = pathlib.Path(os.environ["ATTESTD_BUILD"]) / "tests/system/test-reflection"
        ran = self.guest.run([str(program)], env={"ATTESTD_TEST_ROOT": self.guest.root_spki_sha256}, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stdout[-4000:] + ran.stderr[-4000:])


# Peers that speak anything else.


def frame(kind, payload=b"", size=None):
    return struct.pack(">BI", kind, len(payload) if size is None else size) + payload


def hello(asks=True, gives=False):
    return frame(HELLO, cbor2.dumps({1: 1, 2: [PROFILE], 3: [FORMAT], 4: False, 5: asks, 6: gives}, canonical=True))


def request(context, kind=17):
    extensions = bytes.fromhex("000d0004 0002 0403") + bytes.fromhex("ff000000")
    body = bytes([len(context)]) + context + struct.pack(">H", len(extensions)) + extensions
    return frame(REQUEST, bytes([kind]) + len(body).to_bytes(3, "big") + body)


HTTP = b"GET / HTTP/1.1\r\nHost: server.test\r\n\r\n"
NO_ATTESTATION = "no-attestation: the peer speaks no attestation"
NOT_NOW = "is not allowed now"
FIRST, SECOND = b"1" * 32, b"2" * 32

# What a client says after its handshake, and what the server says then.
WRONG_CLIENTS = {
    "HTTP": (HTTP, NO_ATTESTATION),
    "a megabyte of HTTP": (HTTP * 27000, NO_ATTESTATION),
    "one byte": (b"\n", NO_ATTESTATION),
    "text of an alert": (b"handshake failure\n", NO_ATTESTATION),
    "a TLS record": (bytes.fromhex("16030100 05 0100000100"), NO_ATTESTATION),
    "a frame of no type": (frame(10), NO_ATTESTATION),
    "nothing": (b"", 'without the frame "end"'),
    "a header that is cut": (hello()[:3], "inside a frame"),
    "a frame that is cut": (hello()[:-1], "inside a frame"),
    "hello over its limit": (frame(HELLO, size=4097), "over 4096"),
    "the largest hello": (frame(HELLO, bytes(4096)), 'frame "hello"|CBOR'),
    "a huge hello": (frame(HELLO, size=0xFFFFFFFF), "over 4096"),
    "a huge request": (hello() + frame(REQUEST, size=0xFFFFFFFF), "over 16384"),
    "a huge authenticator": (hello() + frame(AUTHENTICATOR, size=0xFFFFFFFF), "over 131072"),
    "huge data": (hello() + frame(DATA, size=0xFFFFFFFF), "over 16384"),
    "an end with something in it": (hello() + frame(END, size=1), "over 0"),
    "hello that is no CBOR": (frame(HELLO, b"hello"), 'frame "hello"|CBOR'),
    "hello twice": (hello() * 2, NOT_NOW),
    "nobody asks": (hello(asks=False), "neither end asks"),
    "a request before hello": (request(FIRST), "not allowed now: the peer began without a hello, as it does in compat"),
    "an end before hello": (frame(END), NOT_NOW),
    "data before hello": (frame(DATA, b"x"), NOT_NOW),
    "data before evidence": (hello() + frame(DATA, b"x"), NOT_NOW),
    "an authenticator that nobody asked for": (hello() + frame(AUTHENTICATOR, b"x"), NOT_NOW),
    "a verdict on nothing": (hello() + frame(ACCEPTED, cbor2.dumps({1: FIRST})), NOT_NOW),
    "a change of nothing": (hello() + frame(STALE, cbor2.dumps({1: bytes(16), 2: bytes(16), 3: 1, 4: []})), NOT_NOW),
    "a request for a log": (hello() + frame(LOG_REQUEST, cbor2.dumps({1: "ima", 2: 0})), NOT_NOW),
    "log entries": (hello() + frame(LOG_ENTRIES, bytes(1000)), NOT_NOW),
    "a type of a later version": (hello() + frame(99), "unknown type 99"),
    "two requests at once": (hello() + request(FIRST) + request(SECOND), NOT_NOW),
    "a request for a client": (hello() + request(FIRST, kind=13), "unsupported-type"),
    "a request that is none": (hello() + frame(REQUEST, b"request"), "malformed-request|unsupported-type"),
    "an end before evidence": (hello() + frame(END) * 2, "the peer has ended, and the gate is closed"),
    "a refusal": (hello() + frame(REFUSED, cbor2.dumps({1: b"", 2: "policy: no"})), "policy: no"),
}


@contextlib.contextmanager
def stranger(port):
    """A TLS connection to the server; it knows and wants to know nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=private_guest.DEADLINE) as plain:
        with context.wrap_socket(plain, suppress_ragged_eofs=True) as tls:
            yield tls


def until_closed(tls):
    """What the peer still says."""
    said = b""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        while data := tls.recv(65536):
            said += data
    return said


class Strangers(Granted):
    """A server with two good clients that stay, and others that come and go."""

    def good_clients(self, server, *arguments):
        return [self.talk(server, *arguments) for _ in range(2)]

    def go_on(self, clients, text):
        for client in clients:
            client.say(text)
            client.until(text)

    def end(self, clients):
        for client in clients:
            client.end()

    def say(self, server, said):
        """A stranger says this, and hears the server out."""
        with stranger(int(server.port)) as tls:
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                tls.sendall(said)
                if said in (b"", hello()[:3], hello()[:-1]):  # no more will come
                    tls.unwrap()
            return until_closed(tls)

    def test_sc34_clients_that_speak_anything_else(self):
        server = self.server()
        clients = self.good_clients(server)
        for name, (said, reason) in WRONG_CLIENTS.items():
            with self.subTest(name):
                answer = self.say(server, said)
                self.assertRegex(server.until("ended: "), reason)
                if NO_ATTESTATION in reason:
                    self.assertEqual(answer, hello(asks=False, gives=True))
                self.go_on(clients, name)
        self.end(clients)
        self.accepted(server)

    def test_sc11f_a_context_is_answered_once(self):
        """Two requests in order, the second with the context of the first."""
        for second, reason in (FIRST, "context-reused"), (SECOND, 'without the frame "end"'):
            server = self.server()
            with stranger(int(server.port)) as tls, tls.makefile("rb") as reader:
                tls.sendall(hello() + request(FIRST))
                for kind in HELLO, AUTHENTICATOR:
                    found, size = struct.unpack(">BI", reader.read(5))
                    self.assertEqual(found, kind)
                    reader.read(size)
                tls.sendall(frame(ACCEPTED, cbor2.dumps({1: FIRST})) + request(second))
                found, size = struct.unpack(">BI", reader.read(5))
                self.assertEqual(found, REFUSED if second == FIRST else AUTHENTICATOR)
                reader.read(size)
                with contextlib.suppress(ssl.SSLError, OSError):
                    tls.unwrap()
            self.assertIn(reason, server.until("ended: "))

    def test_compat_clients_that_speak_anything_else(self):
        mode = "--compat", "--profile", "cocos"
        server = self.server("--give-to-anyone", *mode)
        clients = self.good_clients(server, *mode)
        for said, reason in (
            (HTTP, NO_ATTESTATION),
            (b"\0" + HTTP, "the native mode"),
            (hello(), "the native mode"),
            (frame(AUTHENTICATOR, b"x"), NOT_NOW),
            (frame(REQUEST, size=16385), "over 16384"),
            (frame(REQUEST, size=0xFFFFFFFF), "over 16384"),
            (frame(REQUEST, b"request"), "malformed-request|unsupported-type"),
            (request(FIRST, kind=13), "unsupported-type"),
            (b"", "before its frames were here"),
        ):
            with self.subTest(said[:20]):
                self.assertEqual(self.say(server, said), b"")
                self.assertRegex(server.until("ended: "), reason)
                self.go_on(clients, "on")
        self.end(clients)

    def test_sc34_many_at_once_take_little_memory(self):
        """Each claims as much as it can, sends some, and stays."""
        server = self.server()
        clients = self.good_clients(server)
        before = server.process.rss_kib()
        with contextlib.ExitStack() as stack:
            for number in range(40):
                tls = stack.enter_context(stranger(int(server.port)))
                tls.sendall(hello() + (frame(REQUEST, bytes(16000), size=16384) if number % 2 else b""))
            self.go_on(clients, "between")
            self.assertLess(server.process.rss_kib() - before, 40 * 1024)
        for _ in range(40):
            server.until("ended: ")
        self.go_on(clients, "after")
        self.end(clients)

    def test_clients_that_leave_without_a_word(self):
        server = self.server()
        clients = self.good_clients(server)
        for said in b"", hello(), hello() + request(FIRST), HTTP[:1]:
            with stranger(int(server.port)) as tls:
                tls.sendall(said)
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.until("ended: ")
            self.go_on(clients, "on")
        self.end(clients)


class StrangeServers(Exchange):
    """What the client makes of a server that is none of ours."""

    attestd = False

    def serve(self, said, *then):
        """A TLS server for one connection, which says this, each of @then, a frame's type and an answer, once the
        client has sent that, and waits. Returns: its port"""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf[1], self.leaf[3])
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            with listener, contextlib.suppress(OSError):
                plain, _ = listener.accept()
                plain.settimeout(private_guest.DEADLINE)
                with context.wrap_socket(plain, server_side=True) as tls:
                    tls.sendall(said)
                    frames = tls.makefile("rb")
                    for awaited, answer in then:
                        while header := frames.read(5):
                            frames.read(int.from_bytes(header[1:], "big"))
                            if header[0] == awaited:
                                break
                        tls.sendall(answer)
                    until_closed(tls)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return listener.getsockname()[1]

    def test_servers_that_speak_anything_else(self):
        ours = hello(asks=False, gives=True)
        for said, reason in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", NO_ATTESTATION),
            (b"220 mail.example ESMTP\r\n", NO_ATTESTATION),
            (b"\x15\x03\x03\0\x02\x02\x28", NO_ATTESTATION),
            (frame(HELLO, size=0xFFFFFFFF), "over 4096"),
            (ours * 2, NOT_NOW),
            (ours + frame(AUTHENTICATOR, size=131073), "over 131072"),
            (ours + frame(DATA, b"hello\n"), NOT_NOW),
            (ours + frame(ACCEPTED, cbor2.dumps({1: FIRST})), NOT_NOW),
            (ours + frame(END), "the peer has ended, and the gate is closed"),
            (frame(AUTHENTICATOR, b"x"), NOT_NOW),
        ):
            with self.subTest(said[:40]):
                client = test_exchange.Program(self.guest, [
                    self.guest.program("attested-client"), "--connect", f"127.0.0.1:{self.serve(said)}",
                    "--message", "secret", "--timeout", "20000", *self.asks("server.test")], stdin=subprocess.PIPE)
                output = client.end(status=1)
                self.assertRegex(output, rf"(?m)^refused: .*({reason})")
                self.assertNotRegex(output, "(?m)^(accepted|hello)$")

    def watch(self, lines, *then):
        """A client that only listens, to these lines once it is accepted, and to @then."""
        said = frame(ACCEPTED, cbor2.dumps({1: FIRST})) + b"".join(frame(DATA, line.encode()) for line in lines)
        port = self.serve(hello() + request(FIRST, kind=13), (AUTHENTICATOR, said), *then)
        client = test_exchange.Program(self.guest, [
            self.guest.program("attested-client"), "--connect", f"127.0.0.1:{port}", "--watch",
            "--ca", str(self.pki.ca_file), "--name", "server.test", "--give", *self.leaf], stdin=subprocess.PIPE)
        self.addCleanup(client.process.stop, expect=None)
        client.until("accepted")
        return client

    def hears(self, client, lines):
        for line in lines:
            self.assertEqual(client.line().rstrip("\n"), line.rstrip("\n"))

    def test_a_server_that_talks_is_listened_to_between_lines(self):
        """Over the room of the library: a client that left it there would find its descriptor readable for ever."""
        lines = [f"line {n} {'x' * 1000}\n" for n in range(3000)]
        self.guest.start_attestd()
        self.hears(self.watch(lines), lines)

    def test_all_that_comes_in_one_record_is_heard(self):
        """More frames than one call takes in: for the rest, which OpenSSL holds, the descriptor is not readable."""
        lines = [f"{n}\n" for n in range(600)]
        self.guest.start_attestd()
        self.hears(self.watch(lines), lines)

    def test_what_fills_the_room_while_the_gate_is_closed_is_heard(self):
        lines = [f"line {n} {'x' * 1000}\n" for n in range(1500)]
        service = self.guest.start_attestd()
        again = b"".join(frame(DATA, line.encode()) for line in lines) + request(SECOND, kind=13)
        client = self.watch([], (STALE, again), (AUTHENTICATOR, frame(ACCEPTED, cbor2.dumps({1: SECOND}))))
        service.stop()
        self.hears(client, lines[:900])
        self.guest.start_attestd()
        self.hears(client, lines[900:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
