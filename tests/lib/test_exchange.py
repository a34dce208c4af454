#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example programs on libattestd, with both services over a simulated TEE:
attested TLS connections end to end, renewed, refused and cut off."""

import datetime
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import NameOID
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}
POLICY = "attestd-policy 1\n{trust}workload any\ncollateral not-required\n"


class Pki:
    """A CA, and leaves of it, as files."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.ca = (self._builder(name, name, self.key)
                   .add_extension(x509.BasicConstraints(True, None), True)
                   .add_extension(signs, True).sign(self.key, hashes.SHA256()))
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self.ca.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def _builder(subject, issuer, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1)))

    def leaf(self, name, kind="p256"):
        """--cert and --key for this name."""
        key = KEYS[kind]()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        leaf = (self._builder(subject, self.ca.subject, key)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
                .sign(self.key, hashes.SHA256()))
        certificate, private = (self.directory / f"{name}.{kind}.{end}" for end in ("pem", "key"))
        certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption()))
        private.chmod(0o600)
        return ["--cert", str(certificate), "--key", str(private)]


class Program:
    """A program whose output is read line by line as it comes."""

    def __init__(self, guest, argv, user=None, stdin=subprocess.DEVNULL):
        self.process = guest.spawn(argv, stdin=stdin, stdout=subprocess.PIPE, user=user)
        self.seen = []

    def line(self):
        line = self.process.popen.stdout.readline().decode()
        if not line:
            raise AssertionError("it ended after:\n" + "".join(self.seen) + self.process.log())
        self.seen.append(line)
        return line.rstrip("\n")

    def until(self, text):
        """Reads on until a line has `text` in it."""
        while text not in (line := self.line()):
            pass
        return line

    def say(self, text):
        self.process.popen.stdin.write(text.encode() + b"\n")
        self.process.popen.stdin.flush()

    def end(self, status=0):
        """Its standard input ends, and so does it."""
        self.process.popen.stdin.close()
        rest = self.process.popen.stdout.read().decode()
        self.seen.append(rest)
        found = self.process.wait()
        if found != status:
            raise AssertionError(f"ended with {found} after:\n" + "".join(self.seen) + self.process.log())
        return rest


class Exchange(private_guest.GuestTest):
    attestd = verifier = True

    def setUp(self):
        super().setUp()
        self.pki = Pki(self.guest.directory)
        self.leaf = self.pki.leaf("server.test")
        self.policy = self.write_policy("good")
        self.configure()
        if self.attestd:
            self.service = self.guest.start_attestd()
        if self.verifier:
            self.guest.start_verifier()

    def configure(self):
        """Before the services start."""

    def write_policy(self, name, more="", without=""):
        path = self.guest.directory / f"{name}.policy"
        text = POLICY.format(trust=self.guest.trust()) + more
        path.write_text("".join(line + "\n" for line in text.splitlines() if not (without and without in line)))
        return str(path)

    def server(self, *arguments, program="attested-server", leaf=None, user=None):
        argv = [self.guest.program(program), "--port", "0", *(leaf or self.leaf), *arguments]
        server = Program(self.guest, argv, user)
        self.addCleanup(server.process.stop, expect=None)
        server.port = server.line().split()[1]
        return server

    def client_argv(self, server, *arguments, name="server.test", policy=None):
        return [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}",
                *(["--ca", str(self.pki.ca_file), "--name", name] if name else []),
                "--policy-file", policy or self.policy, *arguments]

    def hostile(self, mode, *arguments):
        return self.server("--mode", mode, *arguments, program="hostile-server")

    def run_client(self, server, *arguments, **options):
        return self.guest.run(self.client_argv(server, "--message", "hello", *arguments, **options))

    def accepted(self, server, *arguments, **options):
        ran = self.run_client(server, *arguments, **options)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, r"(?m)^accepted$")
        self.assertRegex(ran.stdout, r"(?m)^hello$")
        return ran.stdout

    def accepted_without_data(self, server):
        """By the hostile server, which has nothing to say."""
        ran = self.guest.run(self.client_argv(server))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, r"(?m)^accepted$")

    def refused(self, server, reason, *arguments, **options):
        ran = self.run_client(server, *arguments, **options)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertNotRegex(ran.stdout, r"(?m)^accepted$")
        self.assertRegex(ran.stdout, rf"(?m)^refused: .*{reason}")
        self.assertNotIn("hello\n", ran.stdout)
        return ran.stdout

    def talk(self, server, *arguments, **options):
        """A client that stays, and has its first answer."""
        argv = self.client_argv(server, "--verbose", *arguments, **options)
        client = Program(self.guest, argv, stdin=subprocess.PIPE)
        client.until("accepted")
        client.say("first")
        client.until("first")
        return client


class Accepted(Exchange):
    def test_accepted_with_every_key(self):
        for kind in KEYS:
            with self.subTest(kind):
                server = self.server(leaf=self.pki.leaf("server.test", kind))
                self.accepted(server)
                self.assertEqual(server.line(), "accepted")

    def test_says_what_was_exchanged_and_checked(self):
        server = self.server("--verbose")
        output = self.accepted(server, "--verbose")
        self.assertIn("connected: TLSv1.3", output)
        steps = ["client: sends hello", "client: sends request", "client: received authenticator",
                 "client: sends accepted", "accepted", "client: sends data", "client: received data"]
        positions = [output.index(step) for step in steps]
        self.assertEqual(positions, sorted(positions))
        for check in "authenticator", "binding", "report-data", "quote-signature":
            self.assertRegex(output, rf"(?m)^  passed      {check}  ")
        server.until("server: sends authenticator")
        server.until("server: received end")

    def test_sc01_evidence_of_another_connection_is_refused(self):
        honest = self.hostile("honest")
        self.accepted_without_data(honest)
        self.accepted_without_data(honest)
        replay = self.hostile("replay")
        self.accepted_without_data(replay)
        self.refused(replay, "binding: bound to another connection")

    def test_sc01_evidence_of_another_session_is_refused(self):
        other = self.server()
        self.refused(self.hostile("relay", "--upstream", other.port), "binding: bound to another connection")
        self.accepted(other)

    def test_a_flipped_bit_in_the_quote_is_refused(self):
        self.refused(self.hostile("flip"), "(quote-signature|report-data)")
        self.accepted_without_data(self.hostile("honest"))

    def test_sc11g_an_empty_authenticator_is_a_refusal(self):
        self.refused(self.hostile("empty"), "empty-authenticator")
        ours = self.server("--policy-file", self.write_policy("any", "peer any\n"))
        self.refused(ours, "empty-authenticator", "--give", *self.pki.leaf("client.test"))

    def test_a_peer_without_attestation_is_refused(self):
        self.refused(self.hostile("plain"), "no-attestation: the peer speaks no attestation")

    def test_the_peer_must_have_its_name(self):
        server = self.server()
        ran = self.run_client(server, name="other.test")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no TLS handshake", ran.stderr)
        self.refused(server, "peer-name", name=None)
        self.accepted(server, name=None, policy=self.write_policy("any", "peer any\n"))

    def test_a_policy_that_is_none_refuses(self):
        server = self.server()
        empty = self.guest.directory / "empty.policy"
        empty.write_text("")
        self.refused(server, "policy", policy=str(empty))
        self.accepted(server)

    def test_many_clients_at_once(self):
        server = self.server()
        argv = self.client_argv(server, "--message", "hello")
        clients = [self.guest.spawn(argv, stdout=subprocess.PIPE) for _ in range(20)]
        for client in clients:
            output = client.popen.stdout.read().decode()
            self.assertEqual(client.wait(), 0, output + client.log())

    def test_strangers_do_not_disturb_the_server(self):
        server = self.server("--timeout", "2000")
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet", "-verify_quiet"]

        def stranger(*arguments, says=None):
            client = self.guest.spawn([*argv, *arguments], stdin=subprocess.PIPE)
            if says is not None:
                client.popen.stdin.write(says)
                client.popen.stdin.close()
            return client

        self.assertNotEqual(stranger("-tls1_2", says=b"").wait(), 0)
        server.until("no TLS handshake")
        stranger(says=b"GET / HTTP/1.1\r\n\r\n").wait()
        self.assertIn("no-attestation", server.until("ended: "))
        stranger("-no_ign_eof", says=b"").wait()
        server.until("ended: the peer closed the connection")
        silent = stranger()
        self.assertIn("no hello in time", server.until("ended: "))
        silent.popen.stdin.close()
        silent.wait()
        self.accepted(server)


class Directions(Exchange):
    def test_a_client_attests(self):
        server = self.server("--ca", str(self.pki.ca_file), "--name", "client.test", "--policy-file", self.policy)
        argv = [self.guest.program("attested-client"), "--connect", f"127.0.0.1:{server.port}",
                "--message", "hello", "--give", *self.pki.leaf("client.test", "p384")]
        ran = self.guest.run(argv)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr + server.process.log())
        self.assertIn("accepted the client", server.until("accepted"))
        # Another name, and none at all.
        argv[6:] = self.pki.leaf("other.test")
        self.assertEqual(self.guest.run(argv, input="x\n").returncode, 1)
        self.assertIn("certificate-chain", server.until("ended: "))
        self.assertEqual(self.guest.run(argv[:5], input="x\n").returncode, 1)

    def test_a_server_gives_to_clients_that_it_knows(self):
        by_certificate = self.server("--give", "--ca", str(self.pki.ca_file))
        self.accepted(by_certificate, *self.pki.leaf("client.test"))
        named = self.server("--give", "--ca", str(self.pki.ca_file), "--name", "client.test")
        self.accepted(named, *self.pki.leaf("client.test"))
        self.refused(named, "empty-authenticator", *self.pki.leaf("other.test"))
        self.assertIn("only to clients that have authenticated", named.until("ended: "))
        by_evidence = self.server("--give", "--policy-file", self.write_policy("any", "peer any\n"))
        self.accepted(by_evidence, "--give", *self.pki.leaf("client.test"))
        by_nothing = self.server("--give")
        self.refused(by_nothing, "empty-authenticator")
        self.assertIn("only to clients that have authenticated", by_nothing.until("ended: "))
        self.accepted(self.server("--give-to-anyone"))

    def test_both_attest(self):
        server = self.server("--give", "--ca", str(self.pki.ca_file), "--name", "client.test", "--policy-file",
                             self.policy)
        self.accepted(server, "--give", *self.pki.leaf("client.test"))
        self.assertIn("accepted the client", server.until("accepted"))
        self.refused(server, "empty-authenticator", *self.pki.leaf("client.test"))


class Renewal(Exchange):
    def test_a_change_renews_the_evidence(self):
        policy = self.write_policy("shared", "shared-device allowed\n")
        server = self.server("--verbose")
        client = self.talk(server, policy=policy)
        self.tee.command("entry theirs")
        self.guest.foreign_entries = ["theirs"]
        self.accepted(server, policy=policy)  # the report for which attestd looks at the device
        server.until("server: sends stale")
        client.say("second")
        steps = ["received stale", "sends request", "received authenticator", "sends accepted", "sends data", "second"]
        for step in steps:
            client.until(step)
        client.end()

    def test_a_change_that_the_policy_does_not_take_ends_the_connection(self):
        server = self.server("--verbose")
        client = self.talk(server)
        self.tee.command("entry theirs")
        self.guest.foreign_entries = ["theirs"]
        self.refused(server, "state: ")
        server.until("server: sends stale")
        client.say("second")
        client.until("received stale")
        rest = client.end(status=1)
        self.assertRegex(rest, r"(?m)^refused: state: ")
        self.assertNotIn("second", rest)

    def test_ft16_a_restart_of_attestd_renews_the_evidence(self):
        server = self.server("--verbose")
        client = self.talk(server)
        self.service.stop()
        server.until("server: sends stale")
        self.guest.start_attestd()
        client.say("second")
        client.until("received stale")
        client.until("sends accepted")
        client.until("second")
        client.end()

    def test_ft16_an_attestd_that_stays_away_ends_the_connection(self):
        server = self.server("--verbose")
        client = self.talk(server)
        self.service.stop()
        server.until("server: sends stale")
        client.say("second")
        rest = client.end(status=1)
        self.assertRegex(rest, r"(?m)^refused: .*empty-authenticator")

    def test_a_verifier_that_restarts_is_used_again(self):
        policy = self.write_policy("shared", "shared-device allowed\n")
        server = self.server("--verbose")
        client = self.talk(server, policy=policy)
        verifier = next(p for p in self.guest.processes if p.name == "attestd-verifier")
        verifier.stop()
        self.guest.start_verifier()
        self.tee.command("entry theirs")
        self.guest.foreign_entries = ["theirs"]
        self.accepted(server, policy=policy)
        server.until("server: sends stale")
        client.say("second")
        client.until("second")
        client.end()


class NoAttestd(Exchange):
    attestd = False

    def test_no_evidence_is_a_refusal_that_says_why_at_home(self):
        server = self.server()
        self.refused(server, "empty-authenticator")
        line = server.until("ended: ")
        self.assertRegex(line, r"empty-authenticator.*attestd: org.freedesktop.DBus.Error.ServiceUnknown")


class NoVerifier(Exchange):
    verifier = False

    def test_no_verdict_is_a_refusal(self):
        server = self.server()
        self.refused(server, "attestd-verifier: org.freedesktop.DBus.Error.ServiceUnknown")
        line = server.until("ended: ")
        self.assertIn("service-unavailable", line)
        self.assertNotIn("ServiceUnknown", line)


class Denied(Exchange):
    def test_a_caller_without_right_gives_no_evidence(self):
        self.guest.polkit.verdict = "deny"
        for path in self.leaf[1], self.leaf[3]:
            os.chmod(path, 0o644)
        server = self.server(user="nobody")
        self.refused(server, "empty-authenticator")
        self.assertIn("org.attestd.Error.NotAuthorized", server.until("ended: "))
        self.guest.polkit.verdict = "allow"
        self.accepted(server)


class Usage(Exchange):
    attestd = verifier = False

    def test_wrong_command_lines(self):
        for program, arguments in (
            ("attested-client", []),
            ("attested-client", ["--connect", "nowhere"]),
            ("attested-client", ["--connect", "127.0.0.1:1"]),
            ("attested-client", ["--connect", "127.0.0.1:1", "more"]),
            ("attested-client", ["--frobnicate"]),
            ("attested-server", []),
            ("attested-server", ["--cert", self.leaf[1]]),
            ("attested-server", ["--cert", "/nonexistent", "--key", "/nonexistent"]),
            ("attested-server", [*self.leaf, "--policy-file", "/nonexistent"]),
            ("attested-server", [*self.leaf, "--timeout", "0"]),
            ("attested-server", [*self.leaf, "--profile", "some"]),
            ("attested-server", [*self.leaf, "--suite", "md5"]),
            ("attested-server", ["--give"]),
            ("attested-client", ["--connect", "127.0.0.1:1", "--give"]),
        ):
            with self.subTest(program, arguments=arguments):
                ran = self.guest.run([self.guest.program(program), *arguments])
                self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
                self.assertTrue(ran.stderr)

    def test_help(self):
        for program in "attested-client", "attested-server":
            ran = self.guest.run([self.guest.program(program), "--help"])
            self.assertEqual(ran.returncode, 0)
            self.assertTrue(re.search("--policy-file", ran.stdout))


if __name__ == "__main__":
    unittest.main(verbosity=2)
