// SPDX-License-Identifier: LGPL-2.1-or-later
// What the two services are asked about one TLS connection. Everything that TLS has
// to give for it is here too: three exporter values and one signature.

import crypto from 'node:crypto';
import dbus from 'dbus-next';

// Sessions of both services end with this connection to the bus.
export class Bus {
  async open() {
    this.bus = dbus.systemBus({ negotiateUnixFd: false });
    await new Promise((resolve, reject) => this.bus.once('connect', resolve).once('error', reject));
    return this;
  }

  close() {
    this.bus.disconnect();
  }

  // Plain messages: the proxy objects of dbus-next would introspect each session first.
  async call(service, path, iface, member, signature = '', ...body) {
    const message = new dbus.Message({ destination: service, path, interface: iface, member, signature, body });
    return (await this.bus.call(message)).body;
  }
}

// What evidence is bound to: the secrets of one TLS connection.
export class Binding {
  constructor(socket) {
    this.socket = socket;
    if (socket.getProtocol() !== 'TLSv1.3') throw new Error('not-tls13: the connection is not TLS 1.3');
    if (socket.isSessionReused()) throw new Error('resumed-session: a resumed session was never attested');
    // The hash of the suite is the end of its name, TLS_AES_256_GCM_SHA384.
    this.hash = socket.getCipher().standardName.endsWith('SHA384') ? 'sha384' : 'sha256';
    this.size = this.hash === 'sha384' ? 48 : 32;
  }

  // What evidence for the context covers. Always 32 bytes, whatever the hash; and the label has no prefix "EXPORTER-".
  exported(context) {
    return this.socket.exportKeyingMaterial(32, 'Attestation', context);
  }

  // The keys of RFC 9261 for the authenticator that the end `sender` sends. Their
  // context is empty. For TLS 1.3 no context is the same (not so for TLS 1.2).
  keys(sender) {
    const value = (what) =>
      new dbus.Variant('ay', this.socket.exportKeyingMaterial(this.size, `EXPORTER-${sender} authenticator ${what}`));
    return { handshake_context: value('handshake context'), finished_key: value('finished key') };
  }
}

class Session {
  constructor(bus, service, binding) {
    Object.assign(this, { bus, service, binding, object: `/${service.replaceAll('.', '/')}` });
  }

  async open(parameters) {
    [this.path] = await this.bus.call(this.service, this.object, this.service, 'OpenSession', 'a{sv}', parameters);
    return this;
  }

  call(member, signature, ...body) {
    return this.bus.call(this.service, this.path, `${this.service}.Session`, member, signature, ...body);
  }

  async property(path, iface, name) {
    const properties = 'org.freedesktop.DBus.Properties';
    return (await this.bus.call(this.service, path, properties, 'Get', 'ss', iface, name))[0].value;
  }

  async close() {
    if (this.path) await this.call('Close').catch(() => {});
  }
}

// Judges the peer's evidence.
export class Verifier extends Session {
  constructor(bus, binding, peer) {
    super(bus, 'org.attestd.Verifier1', binding);
    this.peer = peer; // 'client' or 'server'
  }

  // The peer has a name: the authenticator's leaf has to chain to the anchors for it.
  start({ policy, name, anchors }) {
    return this.open({
      role: new dbus.Variant('s', this.peer),
      hash: new dbus.Variant('s', this.binding.hash),
      policy_text: new dbus.Variant('s', policy),
      peer_name: new dbus.Variant('s', name),
      trust_anchors: new dbus.Variant('aay', anchors),
    });
  }

  async createRequest() {
    const [request, context] = await this.call('CreateRequest', 'a{sv}', {});
    return { request, context };
  }

  // Has to be told of each context that the peer has sent, before we answer it.
  async recordContext(context) {
    await this.call('RecordContext', 'ay', context);
  }

  // '' or why not, and of which state of the guest the evidence speaks.
  async validate(authenticator, context) {
    const [accepted, result] = await this.call('Validate', 'ayaya{sv}', authenticator, this.binding.exported(context),
      this.binding.keys(this.peer));
    return {
      reason: accepted ? '' : result.reason.value || 'refused',
      bootId: result.boot_id?.value,
      instanceId: result.instance_id?.value,
      generation: result.generation?.value,
    };
  }
}

const digests = {
  0x0807: null, // ed25519 takes the message, not its hash
  0x0403: 'sha256',
  0x0503: 'sha384',
  0x0804: 'sha256',
  0x0805: 'sha384',
  0x0806: 'sha512',
};
const prefix = Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from('Exported Authenticator\0')]);

// Gives evidence of this guest.
export class Attester extends Session {
  constructor(bus, binding, role, certificates, key) {
    super(bus, 'org.attestd.Attester1', binding);
    Object.assign(this, { role, certificates, key });
  }

  start() {
    return this.open({ role: new dbus.Variant('s', this.role), hash: new dbus.Variant('s', this.binding.hash) });
  }

  // The authenticator, with evidence in it, for a request with this context.
  async answer(request, context) {
    const [handle, scheme, toBeSigned] = await this.call('BeginAuthenticator', 'ayayaaya{sv}', request,
      this.binding.exported(context), this.certificates, this.binding.keys(this.role));
    return this.finish(handle, this.sign(scheme, toBeSigned));
  }

  // The empty authenticator: that we give nothing, said by this very connection.
  async refuse(request) {
    const [handle] = await this.call('BeginAuthenticator', 'ayayaaya{sv}', request, Buffer.alloc(0), [],
      { ...this.binding.keys(this.role), decline: new dbus.Variant('b', true) });
    return this.finish(handle, Buffer.alloc(0));
  }

  async finish(handle, signature) {
    return (await this.call('FinishAuthenticator', 'tay', handle, signature))[0];
  }

  // A signature of TLS 1.3, but only one for an authenticator: with the key of a TLS
  // server, whoever may choose what is signed can be the server.
  sign(scheme, toBeSigned) {
    const isAuthenticator = toBeSigned.subarray(0, prefix.length).equals(prefix) &&
      toBeSigned.length === prefix.length + this.binding.size;
    if (!isAuthenticator)
      throw new Error('attestd wants something signed that is no authenticator');
    if (!(scheme in digests)) throw new Error(`attestd wants a signature by scheme ${scheme.toString(16)}`);
    // ECDSA in DER, as TLS wants it and Node makes it; RSA by PSS, for which Node has to be asked.
    const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = crypto.constants;
    const pss = this.key.asymmetricKeyType === 'rsa' && { padding, saltLength };
    return crypto.sign(digests[scheme], toBeSigned, { key: this.key, ...pss });
  }

  // Has the guest changed since the newest evidence of this session? To lose attestd is a change too.
  // A program with many connections hears the signal Stale instead of asking.
  isStale() {
    return this.property(this.path, `${this.service}.Session`, 'Stale').catch(() => true);
  }

  async state() {
    const [bootId, instanceId, generation] = await Promise.all(
      ['BootId', 'InstanceId', 'Generation'].map((name) => this.property(this.object, this.service, name)));
    return { bootId: Buffer.from(bootId, 'hex'), instanceId: Buffer.from(instanceId, 'hex'), generation };
  }
}
