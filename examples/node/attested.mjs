#!/usr/bin/env node
// SPDX-License-Identifier: LGPL-2.1-or-later
// Both ends of an attested TLS 1.3 connection in Node: node:tls, and D-Bus to attestd
// and attestd-verifier. The client sends a line, the server echoes it.

import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { Connection } from './connection.mjs';
import { Bus } from './services.mjs';

const EXIT_REFUSED = 1, EXIT_USAGE = 2;
const USAGE = `Usage: attested.mjs client --connect HOST:PORT --ca FILE --name NAME [OPTIONS]
       attested.mjs server --cert FILE --key FILE [OPTIONS]

Sends a line to a server that echoes it, once each end is content with the other's evidence.

  --connect HOST:PORT   client: where the server listens
  --message TEXT        client: the line to send (default "hello")
  --port PORT           server: of 127.0.0.1; 0 (default) for any, and it is printed
  --once                server: end after one connection, with its status
  --cert FILE           our certificate and its chain, PEM
  --key FILE            its private key, PEM
  --ca FILE             CAs of the peer's certificate, PEM
  --name NAME           who the peer must be: DNS name or IP address
  --policy-file FILE    ask the peer for evidence, by this policy
  --give                give evidence to a peer that asks, for --cert and --key
  --give-to-anyone      server: also to clients that nobody has authenticated

Exit status: 0 accepted, 1 refused, 2 wrong usage or no connection.
`;

function giveUp(text) {
  console.error(`attested: ${text}`);
  process.exit(EXIT_USAGE);
}

const text = { type: 'string' }, flag = { type: 'boolean' };

function readOptions() {
  let values, positionals;
  try {
    ({ values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        connect: text, message: text, port: text, once: flag, cert: text, key: text, ca: text, name: text,
        'policy-file': text, give: flag, 'give-to-anyone': flag, help: { ...flag, short: 'h' },
      },
    }));
  } catch (e) {
    giveUp(e.message);
  }
  if (values.help || process.argv.length === 2) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const [end, ...more] = positionals;
  const isServer = end === 'server', asks = values['policy-file'], anyone = values['give-to-anyone'];
  const give = values.give || anyone;
  if (more.length || (end !== 'client' && !isServer)) giveUp('client or server? see --help');
  if (!isServer && !(values.connect && values.ca && values.name)) giveUp('a client needs --connect, --ca and --name');
  if (!values.cert !== !values.key || ((isServer || give) && !values.cert))
    giveUp('a server, and who gives evidence, needs --cert and --key');
  if (asks && !(values.ca && values.name))
    giveUp('--policy-file needs --ca and --name: evidence says what the peer is, not who');
  if (!asks && !give) giveUp('ask for evidence with --policy-file, give it with --give, or both');
  if (isServer && !asks && !values.ca && !anyone)
    giveUp('who may see our evidence? --ca for those with a certificate, or --give-to-anyone');
  return load({ ...values, isServer, give });
}

// Each certificate of a PEM file, in DER.
function certificatesOf(pem) {
  const blocks = pem.toString().match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new crypto.X509Certificate(block).raw);
}

function load(o) {
  try {
    const file = (name) => o[name] && fs.readFileSync(o[name]);
    const cert = file('cert'), key = file('key'), ca = file('ca');
    return {
      ...o,
      cert,
      ca,
      keyFile: key,
      key: key && crypto.createPrivateKey(key),
      policy: file('policy-file')?.toString(),
      anchors: ca && certificatesOf(ca),
      certificates: cert && certificatesOf(cert),
    };
  } catch (e) {
    return giveUp(e.message);
  }
}

// What attestation demands of TLS, and the certificates.
function tlsOptions(o) {
  return {
    minVersion: 'TLSv1.3',
    ecdhCurve: 'X25519:P-256:P-384:P-521',
    // No resumption: a resumed session was attested on another connection, if at all.
    secureOptions: crypto.constants.SSL_OP_NO_TICKET,
    cert: o.cert,
    key: o.keyFile,
    ca: o.ca,
    requestCert: o.isServer && !!o.ca, // whoever does not send one is refused
    handshakeTimeout: 30_000,
  };
}

// Both ends: the exchange, and what to do after it. Was it accepted?
async function run(socket, o, talk) {
  const connection = new Connection(socket, o);
  try {
    await connection.open();
    console.log('accepted');
    await talk(connection);
    return true;
  } catch (e) {
    console.log(`refused: ${e.message}${e.cause ? ` (${e.cause.text ?? e.cause.message})` : ''}`);
    return false;
  } finally {
    await connection.close();
  }
}

function client(o) {
  const [, host, port] = o.connect.match(/^\[?(.*?)\]?:(\d+)$/) ?? giveUp(`${o.connect} is not HOST:PORT`);
  return new Promise((resolve) => {
    const socket = tls.connect({
      ...tlsOptions(o),
      host,
      port: Number(port),
      // An IP address is no server name in TLS, but what the certificate has to be for.
      servername: net.isIP(o.name) ? '' : o.name,
      checkServerIdentity: (_, certificate) => tls.checkServerIdentity(o.name, certificate),
    });
    const noHandshake = (e) => {
      if (e.syscall === 'connect' || e.syscall === 'getaddrinfo') giveUp(e.message);
      console.log(`refused: no TLS handshake: ${e.message}`);
      resolve(false);
    };
    socket.once('error', noHandshake);
    socket.once('secureConnect', () => {
      socket.off('error', noHandshake);
      resolve(run(socket, o, async (connection) => {
        const line = Buffer.from(`${o.message ?? 'hello'}\n`);
        await connection.write(line);
        for (let have = 0, data; have < line.length; have += data.length) {
          if (!(data = await connection.readSome())) throw new Error('the server has ended');
          process.stdout.write(data);
        }
        await connection.end();
      }));
    });
  });
}

function server(o) {
  return new Promise((resolve) => {
    const listener = tls.createServer(tlsOptions(o), async (socket) => {
      const ok = await run(socket, o, async (connection) => {
        for (let data; (data = await connection.readSome()); ) await connection.write(data);
        await connection.end();
      });
      if (o.once) resolve(ok);
    });
    listener.on('tlsClientError', (e) => {
      console.log(`refused: no TLS handshake: ${e.message}`);
      if (o.once) resolve(false);
    });
    listener.on('error', (e) => giveUp(e.message));
    listener.listen(Number(o.port ?? 0), '127.0.0.1', () => console.log(`listening ${listener.address().port}`));
  });
}

const options = readOptions();
options.bus = await new Bus().open().catch((e) => giveUp(`no system bus: ${e.message}`));
const ok = await (options.isServer ? server : client)(options);
options.bus.close();
process.exit(ok ? 0 : EXIT_REFUSED);
