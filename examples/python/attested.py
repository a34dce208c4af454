#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Both ends of an attested TLS 1.3 connection in Python: pyOpenSSL, and D-Bus to attestd and
attestd-verifier. The client sends a line, the server echoes it, once each end is content with
the other's evidence.

services.py has what is asked of attestd and attestd-verifier, connection.py what goes over the wire; this
file has TLS and the command line. Packages of Debian: python3-openssl, python3-cryptography, python3-gi.
"""

import argparse
import ipaddress
import socket
import struct
import sys
import threading

from connection import Connection, Lost, Refused
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from gi.repository import Gio, GLib
from OpenSSL import SSL
from services import Attester, Binding, Verifier

ACCEPTED, REFUSED, USAGE = 0, 1, 2
ANSWER_SECONDS = 30  # of what the peer owes us


def main():
    options = read_options()
    sys.stdout.reconfigure(line_buffering=True)
    try:
        options.context = make_context(options)
        # The sessions of both services end with this connection to the bus.
        options.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        options.bus.set_exit_on_close(False)  # GDBus would end the process with the bus
        return client(options) if options.end == "client" else server(options)
    except (OSError, GLib.Error, SSL.Error, ValueError) as e:
        print(f"attested.py: {e}", file=sys.stderr)
        return USAGE


def client(options):
    host, _, port = options.connect.rpartition(":")
    with socket.create_connection((host, int(port))) as s:
        tls = SSL.Connection(options.context, s)
        if not is_address(options.name):
            tls.set_tlsext_host_name(options.name.encode())
        tls.set_connect_state()
        return converse(options, s, tls, say)


def say(connection, options):
    line = options.message.encode() + b"\n"
    connection.write(line)
    while line:
        data = connection.read()
        if not data:
            raise Lost("the peer has ended")
        sys.stdout.write(data.decode(errors="replace"))
        line = line[len(data):]
    connection.end()


def server(options):
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        print(f"listening {listener.getsockname()[1]}")
        while True:
            s, _ = listener.accept()
            if options.once:
                return serve(options, s)
            threading.Thread(target=serve, args=(options, s), daemon=True).start()


def serve(options, s):
    with s:
        tls = SSL.Connection(options.context, s)
        tls.set_accept_state()
        return converse(options, s, tls, echo)


def echo(connection, _):
    while data := connection.read():
        connection.write(data)
    connection.end()


def converse(options, s, tls, application):
    """The handshake, the exchange, and then what the connection is for."""
    # Not s.settimeout(): that would make the socket non-blocking, and pyOpenSSL would not wait at all.
    limit = struct.pack("ll", ANSWER_SECONDS, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    sessions = []
    try:
        handshake(tls)
        check_connection(options, tls)
        connection = open_connection(options, tls, sessions)
        connection.open()
        print("accepted")
        application(connection, options)
        return ACCEPTED
    except (Refused, Lost) as e:
        print(f"refused: {e}")
    except SSL.Error:
        print("refused: the connection was cut")
    except GLib.Error as e:
        print(f"refused: service-unavailable: {e.message}")
    finally:
        for session in sessions:
            session.close_quietly()
    return REFUSED


def open_connection(options, tls, sessions):
    us, them = ("server", "client") if options.end == "server" else ("client", "server")
    binding = Binding(tls)
    verifier = attester = None
    if options.policy:
        verifier = Verifier(options.bus, binding, them, options.policy, options.name, options.anchors)
        sessions.append(verifier)
    if options.give:
        attester = Attester(options.bus, binding, us, options.certificates, options.private_key)
        sessions.append(attester)
    return Connection(tls, verifier, attester, us == "server")


# ----- TLS

def make_context(options):
    """What attestation demands of TLS, and the certificates."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # An exporter value must be of this very handshake: nothing is resumed.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if options.cert:
        context.use_certificate_chain_file(options.cert)
        context.use_privatekey_file(options.key)
        context.check_privatekey()
        with open(options.cert, "rb") as f:
            options.certificates = read_certificates(f.read())
        with open(options.key, "rb") as f:
            options.private_key = serialization.load_pem_private_key(f.read(), None)
    if options.ca:
        context.load_verify_locations(options.ca)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        with open(options.ca, "rb") as f:
            options.anchors = read_certificates(f.read())
    if options.policy_file:
        with open(options.policy_file) as f:
            options.policy = f.read()
    return context


def read_certificates(pem):
    """DER, in the order of the file."""
    end = b"-----END CERTIFICATE-----"
    blocks = [block + end for block in pem.split(end)[:-1]]
    return [x509.load_pem_x509_certificate(block).public_bytes(serialization.Encoding.DER) for block in blocks]


def handshake(tls):
    try:
        tls.do_handshake()
    except SSL.WantReadError:
        raise Lost("no TLS handshake: the peer does not answer") from None
    except SSL.Error as e:
        reasons = [reason for _, _, reason in e.args[0]] if e.args and isinstance(e.args[0], list) else e.args
        raise Lost(f"no TLS handshake: {', '.join(map(str, reasons)) or 'the peer has gone'}") from e


def check_connection(options, tls):
    """What the settings should have brought about already, and what pyOpenSSL does not do."""
    if tls.get_protocol_version_name() != "TLSv1.3":
        raise Refused("not-tls13: exporters of older versions do not cover the handshake")
    # pyOpenSSL verifies chains and never names. Where we ask, the verifier looks at the name, that
    # of the authenticator's leaf; but who is to see evidence of ours is for us to look at.
    if options.name and not options.policy:
        certificate = tls.get_peer_certificate().to_cryptography()
        if options.name not in names_of(certificate):
            raise Refused(f"certificate-chain: the peer's certificate is not of {options.name}")


def names_of(certificate):
    """Host names and addresses, as they stand: no wildcards."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return alternative.get_values_for_type(x509.DNSName) + \
        [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]


def is_address(name):
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


# ----- the command line

def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="Exit status: 0 accepted, 1 refused, 2 wrong usage or no connection.")
    parser.set_defaults(policy=None, anchors=[], certificates=[], private_key=None)
    ends = parser.add_subparsers(dest="end", required=True, metavar="client|server")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--cert", metavar="FILE", help="our certificate and its chain, PEM")
    common.add_argument("--key", metavar="FILE", help="its private key, PEM")
    common.add_argument("--ca", metavar="FILE", help="CAs of the peer's certificate, PEM")
    common.add_argument("--name", metavar="NAME", help="who the peer must be: DNS name or IP address")
    common.add_argument("--policy-file", metavar="FILE", help="ask the peer for evidence, by this policy")
    common.add_argument("--give", action="store_true", help="give evidence to a peer that asks, for --cert and --key")
    sub = ends.add_parser("client", parents=[common], help="sends a line, prints what comes back")
    sub.add_argument("--connect", metavar="HOST:PORT", required=True, help="where the server listens")
    sub.add_argument("--message", metavar="TEXT", default="hello", help="the line to send")
    sub = ends.add_parser("server", parents=[common], help="echoes what a client sends")
    sub.add_argument("--port", metavar="PORT", type=int, default=0, help="of 127.0.0.1; 0 for any, and it is printed")
    sub.add_argument("--give-to-anyone", action="store_true", help="--give, also to clients that nobody has authenticated")
    sub.add_argument("--once", action="store_true", help="end after one connection, with its status")

    parser.usage = "%(prog)s client --connect HOST:PORT --ca FILE --name NAME [--policy-file FILE] " \
                   "[--give --cert FILE --key FILE] [--message TEXT]\n       %(prog)s server --cert FILE --key FILE " \
                   "[--policy-file FILE --ca FILE --name NAME] [--give|--give-to-anyone] [--port PORT] [--once]"
    options = parser.parse_args()
    is_server = options.end == "server"
    to_anyone = is_server and options.give_to_anyone
    options.give = options.give or to_anyone
    if not is_server and not (options.ca and options.name):
        parser.error("a client needs --ca and --name")
    if not options.cert != (not options.key) or (not options.cert and (is_server or options.give)):
        parser.error("a server, and who gives evidence, needs --cert and --key")
    if options.policy_file and not (options.ca and options.name):
        parser.error("--policy-file needs --ca and --name: evidence says what the peer is, not who")
    if options.name and not options.ca:
        parser.error("--name needs --ca: who says that it is the peer's?")
    if not options.policy_file and not options.give:
        parser.error("ask for evidence with --policy-file, give it with --give, or both")
    if is_server and not options.policy_file and not options.ca and not to_anyone:
        parser.error("who may see our evidence? --ca for those with a certificate, or --give-to-anyone")
    return options


if __name__ == "__main__":
    sys.exit(main())
