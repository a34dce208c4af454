#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""demo.py --build DIR [--tee tdx|snp]: the whole exchange, step by step, and five
refusals; then what runs in the guest changes, on a connection that is open.

All programs are the ones that are installed; only the TEE is simulated, and with it
the kernel's measurements, by a program of its own that presents the kernel's files.
The servers that cheat are tests/system/hostile-server.c.
"""

import argparse
import datetime
import hashlib
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
CLIENT = "auditor.example"
UNIT = "payroll.service"
PROGRAM, REPORT, MINER = "/usr/bin/payroll", "/usr/bin/payroll-report", "/tmp/miner"
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
    client_key = ec.generate_private_key(ec.SECP256R1())
    client = certificate(CLIENT, client_key, "Demo CA", ca_key,
                         [(x509.SubjectAlternativeName([x509.DNSName(CLIENT)]), False),
                          (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)])
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    for name, made, its_key in ("leaf", leaf, key), ("client", client, client_key):
        (directory / f"{name}.pem").write_bytes(made.public_bytes(pem))
        (directory / f"{name}.key").write_bytes(its_key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                                      serialization.NoEncryption()))


def make_policy(guest, path):
    path.write_text(f"attestd-policy 1\n{guest.trust()}{guest.boot()}workload unit {UNIT}\n"
                    "collateral not-required\n")


def content(path):
    """What the simulated kernel finds in the file."""
    return f"the program {path}".encode()


def allow(path):
    return f"ima allow sha256:{hashlib.sha256(content(path)).hexdigest()} {path}\n"


class Talk:
    """A client that stays, and is told what to say; printed is what it hears of the server's state."""

    SHOWN = re.compile(r"^(?!  )|client: .*(stale|request|log entries|accepted|authenticator)")

    def __init__(self, process):
        self.process = process

    def say(self, line):
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()

    def until(self, pattern):
        for line in iter(self.process.popen.stdout.readline, b""):
            line = line.decode().rstrip()
            if self.SHOWN.search(line):
                indent(line)
            if re.search(pattern, line):
                return
        raise SystemExit(f"the client has ended without {pattern}:\n{self.process.log()}")


class Demo:
    def __init__(self, guest):
        self.guest = guest
        self.directory = guest.directory
        self.policy = self.directory / "payroll.policy"
        self.root = {"tdx": "rtmr", "snp": "claimed"}[guest.kind]
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
        guest.ima.measure(PROGRAM, content(PROGRAM))
        (guest.configuration / "attestd.conf").write_text(f"[Ima]\nRoot={self.root}\nInterval=100\n")
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

        self.run_on()
        for server in self.servers:
            server.stop(expect=None)
        step("Done: what was not as the policy says was refused, and no application data was sent to it")

    def run_on(self):
        """The second act: on one connection, programs are run in the server's guest."""
        guest = self.guest
        rules = f"ima root {self.root}\n{allow(PROGRAM)}{allow(REPORT)}"
        step("The second act: a policy that also says which programs may run, by their digests in the IMA log")
        indent(rules)
        with self.policy.open("a") as policy:
            policy.write(rules)

        step("A server that gives its log to clients with a certificate; a client that stays connected")
        port = self.server("attested-server", "--give", "--give-logs", "--ca", str(self.directory / "ca.pem"),
                           unit=guest.unit(UNIT))
        client = Talk(guest.spawn([guest.program("attested-client"), "--connect", f"127.0.0.1:{port}", "--ca",
                                   str(self.directory / "ca.pem"), "--name", NAME, "--cert",
                                   str(self.directory / "client.pem"), "--key", str(self.directory / "client.key"),
                                   "--policy-file", str(self.policy), "--watch", "--verbose"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        client.until("^accepted$")
        client.say("the salaries of May")
        client.until("^the salaries of May$")

        step(f"{REPORT} is run in the server's guest: the kernel measures it, the client hears of it and asks anew")
        guest.ima.measure(REPORT, content(REPORT))
        client.until(f"^ran {REPORT} .*: allowed")
        client.say("the salaries of June")
        client.until("^the salaries of June$")

        step(f"{MINER} is run, which the policy does not know: the client closes the connection")
        guest.ima.measure(MINER, content(MINER))
        client.until(f"^ran {MINER} ")
        client.until(f"^refused: ima: .*{MINER}")
        client.process.popen.stdin.close()
        if client.process.wait() != 1:
            raise SystemExit(f"the client should have refused:\n{client.process.log()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--tee", choices=("tdx", "snp"), default="tdx", help="which kind of guest is simulated")
    arguments = parser.parse_args()

    print("attestd: evidence that is bound to one TLS connection")
    with private_guest.Guest(build=arguments.build, tee=arguments.tee, ima=True,
                             rtmr=arguments.tee == "tdx") as guest:
        Demo(guest).run()


if __name__ == "__main__":
    private_guest.enter()
    main()
