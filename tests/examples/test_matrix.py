#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example programs in other languages, against those on libattestd: language x end
x role x hash of the cipher suite, each a connection, with both services over a
simulated TEE. ATTESTD_LANGUAGES="go rust" takes only those."""

import json
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import unittest

import cbor2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import languages  # noqa: E402
import private_guest  # noqa: E402

PROGRAMS = languages.PLACE / "programs.json"
NAMES = os.environ.get("ATTESTD_LANGUAGES", " ".join(languages.ALL)).split()


def build_all():
    """Outside of the guest, where the network is; what came of it is in PROGRAMS."""
    programs = {}
    languages.PLACE.mkdir(exist_ok=True)
    for name in NAMES:
        started = time.monotonic()
        try:
            programs[name] = {"argv": languages.build(name)}
        except languages.Missing as e:
            programs[name] = {"missing": str(e)}
        except languages.Broken as e:
            programs[name] = {"broken": str(e)}
        what = programs[name].get("missing") or programs[name].get("broken") or "built"
        print(f"{name}: {what} after {time.monotonic() - started:.1f} s", flush=True)
    PROGRAMS.write_text(json.dumps(programs))


if not private_guest.inside():
    build_all()
from test_exchange import Exchange, Pki, Program  # noqa: E402: enters the guest

ENDS = "client", "server"
ROLES = {  # of the program: what it does, what its peer does
    "relying party": (["ask"], ["give"]),
    "attester": (["give"], ["ask"]),
    "mutual": (["ask", "give"], ["ask", "give"]),
}
SUITES = "sha256", "sha384"
DEADLINE = 120  # of a test
KEYS = "p256", "p384", "ed25519", "rsa"

table = {}


HELLO, REQUEST, AUTHENTICATOR, ACCEPTED, REFUSED, STALE, LOG_REQUEST, DATA, END = 0, 1, 2, 3, 4, 5, 6, 8, 9


def frame(kind, payload=b"", size=None):
    return struct.pack(">BI", kind, len(payload) if size is None else size) + payload


def hello(**changes):
    values = {"version": 1, "profiles": ["tag:attestd.org,2026:evidence/1"],
              "formats": ["application/vnd.veraison.tsm-report+cbor"], "batch": False, "asks": True, "gives": True}
    return cbor2.dumps(dict(enumerate({**values, **changes}.values(), 1)), canonical=True)


class Stranger:
    """A TLS peer that says what it is told to."""

    def __init__(self, tls):
        self.tls = tls

    @classmethod
    def to(cls, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return cls(context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), private_guest.DEADLINE)))

    @classmethod
    def at(cls, listener, leaf):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf[1], leaf[3])
        listener.settimeout(private_guest.DEADLINE)
        return cls(context.wrap_socket(listener.accept()[0], server_side=True))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def send(self, data):
        self.tls.sendall(data)

    def receive(self):
        kind, size = struct.unpack(">BI", self._read(5))
        return kind, self._read(size)

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.tls.recv(size - len(data))
            if not more:
                raise EOFError(f"after {data!r}")
            data += more
        return data

    def refusal(self):
        """The reason that the program states, after whatever else it says."""
        while (received := self.receive())[0] != REFUSED:
            pass
        return cbor2.loads(received[1])[2]


GREETING = frame(HELLO, hello())
CONTEXT = cbor2.dumps({1: bytes(32)})
BROKEN = {  # what a client says, and what the server is to say of it
    "a request before the hello": (frame(REQUEST, bytes(64)), "protocol-error"),
    "an unknown type": (frame(77), "protocol-error"),
    "a request for logs": (GREETING + frame(LOG_REQUEST, CONTEXT), "protocol-error"),
    "a hello that is too large": (frame(HELLO, size=4097), "protocol-error"),
    "four GiB": (GREETING + frame(REQUEST, size=0xFFFFFFFF), "protocol-error"),
    "a second hello": (GREETING * 2, "protocol-error"),
    "a hello that is no CBOR": (frame(HELLO, b"\xff" * 40), "protocol-error"),
    "a hello that is cut": (frame(HELLO, hello()[:-1]), "protocol-error"),
    "a hello with more behind it": (frame(HELLO, hello() + b"\0"), "protocol-error"),
    "a hello of a list": (frame(HELLO, cbor2.dumps([1, 2, 3])), "protocol-error"),
    "nobody asks": (frame(HELLO, hello(asks=False)), "protocol-error"),
    "another profile": (frame(HELLO, hello(profiles=["tag:attestd.org,2026:cocos/1"])), "no-common-profile"),
    "another format": (frame(HELLO, hello(formats=["text/plain"])), "no-common-format"),
    "an authenticator unasked": (GREETING + frame(AUTHENTICATOR, bytes(64)), "protocol-error"),
    "accepted before the answer": (GREETING + frame(ACCEPTED, CONTEXT), "protocol-error"),
    "stale without evidence": (GREETING + frame(STALE, CONTEXT), "protocol-error"),
    "data before the verdict": (GREETING + frame(DATA, b"hello\n"), "protocol-error"),
    "a request without context": (GREETING + frame(REQUEST, b"\x11\0\0\x01\0"), "malformed-request"),
    "a request of five bytes": (GREETING + frame(REQUEST, b"\x11\0\0\x01\x20"), "malformed-request"),
    "a request of none": (GREETING + frame(REQUEST), "malformed-request"),
    "a request that is none": (GREETING + frame(REQUEST, b"\x11\0\0\x21\x20" + bytes(32)), "."),
    "the end at once": (GREETING + frame(END), "."),
    "the end of the stream": (GREETING, "."),
    "the end of the stream inside a header": (GREETING + b"\x01\0", "."),
    "the end of the stream inside a frame": (GREETING + frame(REQUEST, b"\x11", size=64), "."),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: server.test\r\n\r\n", "protocol-error"),
}


class Matrix:
    """Mixed into a test for each language, `language`."""

    @classmethod
    def setUpClass(cls):
        program = json.loads(PROGRAMS.read_text())[cls.language]
        if "missing" in program:
            raise unittest.SkipTest(program["missing"])
        if "broken" in program:
            raise AssertionError(program["broken"])
        cls.argv = program["argv"]

    def setUp(self):
        signal.signal(signal.SIGALRM, self.late)
        signal.alarm(DEADLINE)
        self.addCleanup(signal.alarm, 0)
        super().setUp()
        self.ca = ["--ca", str(self.pki.ca_file)]

    @staticmethod
    def late(*_):
        raise TimeoutError(f"not done after {DEADLINE} s")

    def arguments(self, end, does, key="p256", policy=None):
        """What an end that `does` this has on its command line, ours and libattestd's alike."""
        peer = {"client": "server", "server": "client"}[end]
        arguments = []
        if end == "server" or "give" in does:
            arguments += self.pki.leaf(f"{end}.test", key)
        if "give" in does:
            arguments.append("--give" if "ask" in does or end == "client" else "--give-to-anyone")
        if "ask" in does:
            arguments += ["--policy-file", policy or self.policy]
        if "ask" in does or end == "client":
            arguments += [*self.ca, "--name", f"{peer}.test"]
        return arguments

    def start_server(self, argv, *arguments):
        server = Program(self.guest, [*argv, "--port", "0", *arguments])
        self.addCleanup(server.process.stop, expect=None)
        server.port = server.line().split()[1]
        return server

    def connect(self, end, does, peer_does, suite="sha256", key="p256", policy=None):
        """A connection of our program at this `end` with libattestd's at the other: (ran client, server, peer)."""
        ours = self.arguments(end, does, key, policy)
        if end == "client":
            server = self.start_server([self.guest.program("attested-server")], "--suite", suite,
                                       *self.arguments("server", peer_does))
            client = [*self.argv, "client", *ours]
        else:
            server = self.start_server([*self.argv, "server"], *ours)
            client = [self.guest.program("attested-client"), "--suite", suite, *self.arguments("client", peer_does)]
        ran = self.guest.run([*client, "--connect", f"127.0.0.1:{server.port}", "--message", "hello"])
        return ran, server

    def accepted(self, ran, server):
        said = ran.stdout + ran.stderr
        if ran.returncode != 0:
            server.process.stop(expect=None)
            said += "server: " + server.process.popen.stdout.read().decode() + server.process.log()
        self.assertEqual(ran.returncode, 0, said)
        self.assertRegex(ran.stdout, r"(?m)^accepted")
        self.assertRegex(ran.stdout, r"(?m)^hello$")
        server.until("accepted")

    def test_every_end_role_and_suite(self):
        for end in ENDS:
            for role, (does, peer_does) in ROLES.items():
                for suite in SUITES:
                    cell = self.language, end, role, suite
                    table[cell] = "FAILED"
                    with self.subTest(end=end, role=role, suite=suite):
                        self.accepted(*self.connect(end, does, peer_does, suite))
                        table[cell] = "passed"

    def test_signs_with_every_kind_of_key(self):
        for key in KEYS:
            with self.subTest(key):
                self.accepted(*self.connect("server", ["give"], ["ask"], key=key))

    def test_says_that_it_gives_no_logs(self):
        """To libattestd's, whose policy needs the log: an answer, and not the end of the connection."""
        policy = self.guest.directory / f"{self.language}-ima.policy"
        policy.write_text(pathlib.Path(self.policy).read_text() + self.guest.boot() + "ima root claimed\n")
        server = self.start_server([*self.argv, "server"], *self.arguments("server", ["give"]))
        ran = self.guest.run([self.guest.program("attested-client"),
                              *self.arguments("client", ["ask"], policy=str(policy)),
                              "--connect", f"127.0.0.1:{server.port}", "--message", "hello"])
        self.refused(ran, r"the peer gave no log ima: logs are not given")

    def refused(self, ran, reason):
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, rf"(?m)^refused: .*{reason}")
        self.assertNotRegex(ran.stdout, r"(?m)^accepted$")

    def hostile_argv(self, mode):
        server = self.start_server([self.guest.program("hostile-server")], "--mode", mode, *self.leaf)
        return [*self.argv, "client", "--connect", f"127.0.0.1:{server.port}", *self.arguments("client", ["ask"])]

    def hostile(self, mode):
        return self.guest.run(self.hostile_argv(mode))

    def test_sc01_a_client_refuses_evidence_of_another_connection(self):
        argv = self.hostile_argv("replay")
        first = Program(self.guest, argv)  # this one is honest, but echoes nothing
        self.assertEqual(first.line(), "accepted")
        first.process.stop(expect=None)
        self.refused(self.guest.run(argv), "binding: ")

    def test_a_client_refuses_a_flipped_quote(self):
        self.refused(self.hostile("flip"), "(quote-signature|report-data)")

    def test_sc11g_a_client_refuses_an_empty_authenticator(self):
        self.refused(self.hostile("empty"), "empty-authenticator")

    def test_a_client_refuses_a_peer_without_attestation(self):
        self.refused(self.hostile("plain"), "protocol-error")

    def test_a_server_refuses_what_its_policy_does_not_take(self):
        other = self.write_policy("other", "boot mrtd=" + "00" * 48 + "\n")
        _, server = self.connect("server", ["ask", "give"], ["ask", "give"], policy=other)
        self.assertRegex(server.until("refused: "), "boot: ")

    def test_a_peer_with_another_name_is_refused(self):
        ran, server = self.connect("server", ["ask"], ["give"])
        self.accepted(ran, server)
        argv = [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}", "--message", "hello",
                *self.ca, "--name", "server.test", "--give", *self.pki.leaf("other.test")]
        self.assertEqual(self.guest.run(argv).returncode, 1)
        self.assertRegex(server.until("refused: "), "peer-name: ")

    def test_a_server_that_wants_certificates_shows_itself_to_no_other(self):
        server = self.start_server([*self.argv, "server"], *self.leaf, "--give", *self.ca)
        elsewhere = self.guest.directory / "elsewhere"
        elsewhere.mkdir()
        argv = [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}", "--message", "hello",
                *self.arguments("client", ["ask"])]
        for who, leaf in ("nobody", []), ("a stranger", Pki(elsewhere).leaf("client.test")):
            with self.subTest(who):
                self.assertEqual(self.guest.run([*argv, *leaf]).returncode, 1)
                self.assertRegex(server.until("refused: "), "no TLS handshake")
        ran = self.guest.run([*argv, *self.pki.leaf("client.test")])
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_a_client_refuses_a_server_with_another_name_or_another_ca(self):
        server = self.start_server([self.guest.program("attested-server")], *self.arguments("server", ["give"]))
        argv = [*self.argv, "client", "--connect", f"127.0.0.1:{server.port}", "--policy-file", self.policy]
        elsewhere = self.guest.directory / "elsewhere"
        elsewhere.mkdir()
        self.refused(self.guest.run([*argv, *self.ca, "--name", "other.test"]), "(no TLS handshake|peer-name)")
        self.refused(self.guest.run([*argv, "--ca", str(Pki(elsewhere).ca_file), "--name", "server.test"]),
                     "no TLS handshake")
        self.assertIn("accepted", self.guest.run([*argv, *self.ca, "--name", "server.test"]).stdout)

    def test_a_change_of_the_guest_is_told_before_more_is_sent(self):
        """Our server answers a client whose evidence has become old only when it has shown itself anew."""
        policy = self.write_policy("shared", "shared-device allowed\n")
        for end in ENDS:
            with self.subTest(attester=end):
                self.stale(end, policy)

    def stale(self, attester, policy):
        """The attester's server or libattestd's, whose guest changes between two lines of libattestd's client."""
        ours = ["give"] if attester == "server" else ["ask"]
        theirs = ["ask"] if attester == "server" else ["give"]
        server = self.start_server([*self.argv, "server"], *self.arguments("server", ours, policy=policy))
        client = Program(self.guest, [self.guest.program("attested-client"), "--verbose",
                                      "--connect", f"127.0.0.1:{server.port}",
                                      *self.arguments("client", theirs, policy=policy)], stdin=subprocess.PIPE)
        self.addCleanup(client.process.stop, expect=None)
        client.until("accepted")
        client.say("first")
        client.until("first")
        if attester == "client":
            self.service.stop()
            self.service = self.guest.start_attestd()
        else:
            self.tee.command("entry theirs")
            self.guest.foreign_entries = ["theirs"]
            # The report for which attestd looks at the device.
            self.accepted(*self.connect("client", ["ask"], ["give"], policy=policy))
        client.say("second")
        client.until("received stale" if attester == "server" else "sends stale")
        client.until("second")
        client.end()

    def test_a_peer_that_breaks_the_rules_is_refused_and_no_other(self):
        server = self.start_server([*self.argv, "server"], *self.arguments("server", ["give"]))
        for what, (said, reason) in BROKEN.items():
            with self.subTest(what):
                with Stranger.to(server.port) as peer:
                    peer.send(said)
                    if reason != ".":
                        self.assertRegex(peer.refusal(), reason)
                self.assertRegex(server.until("refused: "), reason)
        argv = [self.guest.program("attested-client"), *self.arguments("client", ["ask"])]
        ran = self.guest.run([*argv, "--connect", f"127.0.0.1:{server.port}", "--message", "hello"])
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_a_request_that_comes_back_is_refused(self):
        listener = socket.create_server(("127.0.0.1", 0))
        client = Program(self.guest, [*self.argv, "client", "--connect", f"127.0.0.1:{listener.getsockname()[1]}",
                                      *self.arguments("client", ["ask", "give"])])
        self.addCleanup(client.process.stop, expect=None)
        with listener, Stranger.at(listener, self.leaf) as peer:
            peer.send(frame(HELLO, hello()))
            self.assertEqual(peer.receive()[0], HELLO)
            kind, request = peer.receive()
            self.assertEqual(kind, REQUEST)
            peer.send(frame(REQUEST, request))
            self.assertRegex(peer.refusal(), "context-reused")
        self.assertRegex(client.until("refused: "), "context-reused")
        self.assertEqual(client.process.wait(), 1)

    def test_a_relying_party_that_asks_again_is_answered(self):
        server = self.start_server([*self.argv, "server"], *self.arguments("server", ["give"]))
        client = Program(self.guest, [self.guest.program("attested-client"), "--verbose", "--max-age", "1",
                                      "--connect", f"127.0.0.1:{server.port}", *self.arguments("client", ["ask"])],
                         stdin=subprocess.PIPE)
        self.addCleanup(client.process.stop, expect=None)
        client.until("accepted")
        while sum("sends accepted" in line for line in client.seen) < 2:
            client.say("hello")
            client.until("hello")
        client.end()

    def test_wrong_command_lines(self):
        for arguments in (
            ["frobnicate"],
            ["client"],
            ["client", "--frobnicate"],
            ["client", "--connect", "127.0.0.1:1", *self.ca, "--name", "server.test"],
            ["client", "--connect", "127.0.0.1:1", *self.arguments("client", ["ask"])],
            ["server", *self.leaf],
            ["server", *self.leaf, "--give"],
            ["server", *self.leaf, "--policy-file", self.policy],
            ["server", "--cert", "/nonexistent", "--key", "/nonexistent", "--give-to-anyone"],
        ):
            with self.subTest(arguments=arguments):
                ran = self.guest.run([*self.argv, *arguments])
                self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
                self.assertTrue(ran.stderr)

    def test_help(self):
        ran = self.guest.run([*self.argv, "--help"])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("-policy-file", ran.stdout + ran.stderr)


def print_table():
    columns = [f"{end} {suite}" for end in ENDS for suite in SUITES]
    print(f"\n{'language':10}{'role':16}" + "".join(f"{column:16}" for column in columns))
    for language in NAMES:
        for role in ROLES:
            cells = [table.get((language, end, role, suite), "not run") for end in ENDS for suite in SUITES]
            print(f"{language:10}{role:16}" + "".join(f"{cell:16}" for cell in cells))


def load_tests(loader, _, __):
    suite = unittest.TestSuite()
    for name in NAMES:
        case = type(name.capitalize(), (Matrix, Exchange), {"language": name})
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    print_table()
    sys.exit(not result.wasSuccessful())
