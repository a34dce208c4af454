#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""demo.py --build DIR [--tee tdx|snp]: the whole exchange, step by step, and five refusals.

All programs are the ones that are installed; only the TEE is simulated, by a
program of its own that presents the kernel's files. The servers that cheat are
tests/system/hostile-server.c.
"""

import argparse
import datetime
import ipaddress
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import private_guest  # noqa: E402

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

NAME = "payroll.example"
UNIT = "payroll.service"
STARTED = time.monotonic()


def step(text):
    print(f"\n[{time.monotonic() - STARTED:5.2f} s] {text}", flush=True)


def indent(text):
    for line in text.splitlines():
        print(f"    {line}")
    sys.stdout.flush()


def make_pki(directory):
    """A CA, and a leaf for the server: it is what names the peer."""

    def certificate(subject, key, issuer, issuer_key, extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder()
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
                   .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = certificate("Demo CA", ca_key, "Demo CA", ca_key,
                     [(x509.BasicConstraints(True, None), True), (signs, True)])
    leaf = certificate(NAME, key, "Demo CA", ca_key,
                       [(x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(
                           ipaddress.ip_address("127.0.0.1"))]), False),
                        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)])
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "leaf.pem").write_bytes(leaf.public_bytes(pem))
    (directory / "leaf.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                           serialization.NoEncryption()))


def make_policy(guest, path):
    path.write_text(f"attestd-policy 1\n{guest.trust()}{guest.boot()}workload unit {UNIT}\n"
                    "collateral not-required\n")


class Demo:
    def __init__(self, guest):
        self.guest = guest
        self.directory = guest.directory
        self.policy = self.directory / "payroll.policy"
        self.servers = []

    def server(self, program, *arguments, unit=None):
        """Starts a server; its port is what it prints first."""
        server = self.guest.spawn([self.guest.program(program), "--cert", str(self.directory / "leaf.pem"), "--key",
                                   str(self.directory / "leaf.key"), "--port", "0", *arguments],
                                  unit=unit, stdout=subprocess.PIPE)
        self.servers.append(server)
        line = server.popen.stdout.readline().decode()
        if not line.startswith("listening "):
            raise SystemExit(f"{program} does not listen:\n{line}{server.log()}")
        return line.split()[1]

    def client(self, port, *arguments):
        return self.guest.run([self.guest.program("attested-client"), "--connect", f"127.0.0.1:{port}", "--ca",
                               str(self.directory / "ca.pem"), "--name", NAME, "--policy-file", str(self.policy),
                               *arguments])

    def accepted(self, port, *arguments):
        ran = self.client(port, *arguments)
        if ran.returncode != 0 or not re.search(r"^accepted$", ran.stdout, re.M):
            raise SystemExit(f"not accepted:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def refused(self, what, port, *reasons):
        """The client must refuse, and for one of the reasons: not for another one."""
        ran = self.client(port, "--message", "the salaries")
        reason = re.search(r"^refused: (.*)$", ran.stdout, re.M)
        if ran.returncode != 1 or not reason or not any(r in reason.group(1) for r in reasons):
            raise SystemExit(f"{what}: not refused as it should be:\n{ran.stdout}{ran.stderr}")
        indent(f"refused: {reason.group(1)}")

    def run(self):
        guest = self.guest
        kind = {"tdx": "A TDX", "snp": "An SEV-SNP"}[guest.kind]
        step(f"{kind} guest, simulated: configfs-tsm at /sys/kernel/config/tsm/report, a private system bus, "
             "attestd and attestd-verifier")
        guest.start_attestd()
        guest.start_verifier()
        indent(guest.run([guest.program("attestctl"), "status"]).stdout)

        step(f"A certificate for {NAME}, and the relying party's policy")
        make_pki(self.directory)
        make_policy(guest, self.policy)
        indent(self.policy.read_text())

        step(f"An OpenSSL server as attester, the unit {UNIT}; a client as relying party")
        unit = guest.unit(UNIT)
        honest = self.server("attested-server", unit=unit)
        indent(self.accepted(honest, "--verbose", "--message", "the salaries"))

        step("Evidence replayed on another connection")
        port = self.server("hostile-server", "--mode", "replay", unit=unit)
        self.accepted(port)
        indent("first connection: accepted; the server keeps its evidence")
        self.refused("replay", port, "binding")

        step("Evidence relayed from another session: the server answers with what another one gave for this request")
        port = self.server("hostile-server", "--mode", "relay", "--upstream", honest)
        self.refused("relay", port, "binding")

        step(f"A flipped bit in the {'quote' if guest.kind == 'tdx' else 'report'}")
        port = self.server("hostile-server", "--mode", "flip", unit=unit)
        self.refused("flip", port, "quote-signature", "report-data")

        step("A peer without attestation: an HTTP server, then one that declines")
        port = self.server("hostile-server", "--mode", "plain")
        self.refused("plain", port, "")
        port = self.server("hostile-server", "--mode", "empty")
        self.refused("empty", port, "empty-authenticator")

        for server in self.servers:
            server.stop(expect=None)
        step("Done: one server accepted, five refused, and no application data was sent to those")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--tee", choices=("tdx", "snp"), default="tdx", help="which kind of guest is simulated")
    arguments = parser.parse_args()

    print("attestd: evidence that is bound to one TLS connection")
    with private_guest.Guest(build=arguments.build, tee=arguments.tee) as guest:
        Demo(guest).run()


if __name__ == "__main__":
    private_guest.enter()
    main()
