// SPDX-License-Identifier: LGPL-2.1-or-later
// The native mode of docs/protocol.md, section 6: from the hello to the end every
// byte on the TLS connection is in a frame.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import * as cbor from 'cborg';
import { Attester, Binding, Verifier } from './services.mjs';

const HELLO = 0, REQUEST = 1, AUTHENTICATOR = 2, ACCEPTED = 3, REFUSED = 4, STALE = 5, LOG_REQUEST = 6,
  LOG_ENTRIES = 7, DATA = 8, END = 9;

// Limits of payloads; a type that is not here is not received.
const limits = {
  [HELLO]: 4096, [REQUEST]: 16384, [AUTHENTICATOR]: 131072, [ACCEPTED]: 4096, [REFUSED]: 4096, [STALE]: 4096,
  [LOG_REQUEST]: 4096, [DATA]: 16384, [END]: 0,
};
const PROFILE = 'tag:attestd.org,2026:evidence/1';
const FORMAT = 'application/vnd.veraison.tsm-report+cbor';

const ANSWER_MS = 30_000; // for what the peer owes us
const MAX_AGE_MS = 600_000; // of evidence; then we ask again
const INBOX_MAX = 1 << 20; // of data that the peer sends while we wait for something else

// Why there is no connection: by our verdict, or by the protocol. The message is a name of
// docs/protocol.md section 10, ": " and a sentence; the peer is told.
class Refused extends Error {
  constructor(reason, context = Buffer.alloc(0), cause = undefined) {
    super(reason, { cause }); // in our own house, of which the peer is not told
    this.context = context;
  }
}

const protocolError = (text) => new Refused(`protocol-error: ${text}`);

const orUnavailable = (promise) => promise.catch((e) => {
  throw new Refused('service-unavailable: a service of this end does not do its part', undefined, e);
});

// Deterministic, and strict where it comes from the peer. Keys are integers, so a Map.
const encode = (...pairs) => Buffer.from(cbor.encode(new Map(pairs)));

function decode(payload) {
  try {
    const map = cbor.decode(payload,
      { useMaps: true, strict: true, allowIndefinite: false, rejectDuplicateMapKeys: true });
    if (map instanceof Map) return map;
  } catch (e) {
    throw protocolError(e.message);
  }
  throw protocolError('a payload that is no map');
}

// Reads and writes only while both ends are content with each other's evidence.
export class Connection {
  inbox = [];
  inboxSize = 0;
  peer = null; // its hello
  peerEnded = false;

  // As relying party.
  verifier = null; // if we ask
  asked = null; // our request that the peer has not answered: context, time, isVoid
  acceptedAt = 0; // when evidence was asked for that we have accepted; 0: there is none
  hasShown = false; // the peer has answered since its last stale
  newest = null; // stale

  // As attester.
  attester = null; // if we give
  held = null; // the peer's request, while we do not trust the peer
  answered = null; // our newest answer, on which we have no verdict: context, isVoid
  isTrusted = false; // the peer has accepted our newest answer
  wasTrusted = false;

  // After the handshake: 'secureConnect' of a client's socket, 'secureConnection' of a
  // server. Before that Node exports nothing.
  constructor(socket, options) {
    this.socket = socket;
    this.options = options;
    this.us = options.isServer ? 'server' : 'client';
    this.them = options.isServer ? 'client' : 'server';
    this.chunks = socket[Symbol.asyncIterator]();
    this.received = Buffer.alloc(0);
  }

  // The exchange. After it both ends have said yes.
  async open() {
    const { bus, policy, give, certificates, key } = this.options;
    try {
      const binding = new Binding(this.socket);
      if (policy) {
        this.verifier = new Verifier(bus, binding, this.them);
        await orUnavailable(this.verifier.start(this.options));
      }
      if (give) {
        this.attester = new Attester(bus, binding, this.us, certificates, key);
        await orUnavailable(this.attester.start());
      }
      this.send(HELLO, encode([1, 1], [2, [PROFILE]], [3, [FORMAT]], [4, false], [5, this.asks], [6, !!give]));
      await this.wait(() => this.peer && this.isOpen);
    } catch (e) {
      this.fail(e);
    }
  }

  get asks() {
    return this.verifier !== null;
  }

  // The gate: our verdict, and the peer's on us.
  get isOpen() {
    return (!this.asks || (!this.asked && this.acceptedAt > 0)) && (!this.peer.asks || this.isTrusted);
  }

  // Tells the peer, if it is not the one who told us.
  fail(e) {
    if (e instanceof Refused) this.send(REFUSED, encode([1, e.context], [2, e.message.slice(0, 300)]));
    throw e;
  }

  // Frames

  send(type, payload = Buffer.alloc(0)) {
    const header = Buffer.alloc(5);
    header.writeUInt8(type);
    header.writeUInt32BE(payload.length, 1);
    return this.socket.write(Buffer.concat([header, payload]));
  }

  async drained() {
    const events = new AbortController();
    const { signal } = events;
    await Promise.race([once(this.socket, 'drain', { signal }), once(this.socket, 'close', { signal })])
      .finally(() => events.abort());
  }

  async read(size) {
    while (this.received.length < size) {
      const { value, done } = await this.chunks.next();
      // Node does not tell a stream that was cut from one that was ended. The frame "end" does.
      if (done) throw new Error('the peer closed the connection without the frame "end"');
      this.received = Buffer.concat([this.received, value]);
    }
    const bytes = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    return bytes;
  }

  // The limit is checked before the payload is read.
  async receive() {
    const header = await this.read(5);
    const type = header.readUInt8(), size = header.readUInt32BE(1);
    if (!(type in limits)) throw protocolError(`a frame of type ${type}`);
    if (size > limits[type]) throw protocolError(`a frame of type ${type} with ${size} bytes`);
    return { type, payload: await this.read(size) };
  }

  // Takes in one frame, and does what it calls for.
  async step() {
    const { type, payload } = await this.receive();
    if (!this.peer !== (type === HELLO) || this.peerEnded) throw protocolError(`a frame of type ${type} now`);
    switch (type) {
      case HELLO: return this.onHello(decode(payload));
      case REQUEST: return this.onRequest(payload);
      case AUTHENTICATOR: return this.onAuthenticator(payload);
      case ACCEPTED: return this.onAccepted(decode(payload));
      case REFUSED: throw new Error(`by the peer: ${JSON.stringify(decode(payload).get(2))}`);
      case STALE: return this.onStale(decode(payload));
      case LOG_REQUEST: return this.onLogRequest(decode(payload));
      case DATA: return this.onData(payload);
      case END: this.peerEnded = true;
    }
  }

  async onHello(map) {
    this.peer = { asks: map.get(5) === true };
    const lists = (key, word) => Array.isArray(map.get(key)) && map.get(key).includes(word);
    if (!Number.isInteger(map.get(1)) || map.get(1) < 1) throw protocolError('a hello without version');
    if (!this.asks && !this.peer.asks) throw protocolError('neither end asks for evidence');
    if (this.peer.asks && !this.attester) throw new Refused('attestation-missing: this end gives no evidence');
    if (!lists(2, PROFILE)) throw new Refused('no-common-profile: the peer does not speak the profile of this end');
    if (!lists(3, FORMAT))
      throw new Refused('no-common-format: the peer does not speak the evidence format of this end');
    // Whatever the peer says that it gives: we ask.
    if (this.asks) await this.ask();
  }

  // Relying party

  async ask() {
    const { request, context } = await orUnavailable(this.verifier.createRequest());
    this.asked = { context, time: performance.now(), isVoid: false };
    this.send(REQUEST, request);
  }

  async onAuthenticator(authenticator) {
    const asked = this.asked;
    if (!asked) throw protocolError('an authenticator that nobody asked for');
    this.asked = null;
    this.hasShown = true;
    if (asked.isVoid) return this.ask(); // the peer's state has changed since
    const verdict = await orUnavailable(this.verifier.validate(authenticator, asked.context));
    if (verdict.reason) throw new Refused(verdict.reason, asked.context);
    if (this.newest && verdict.bootId === this.newest.bootId && verdict.instanceId === this.newest.instanceId &&
        verdict.generation < this.newest.generation)
      throw new Refused('evidence-stale: it speaks of an older generation than the peer has told of', asked.context);
    this.acceptedAt = asked.time;
    this.send(ACCEPTED, encode([1, asked.context]));
    return this.answerHeld();
  }

  // What we know of the peer is over, and nothing goes out until it has shown itself anew.
  async onStale(map) {
    if (!this.hasShown) throw protocolError('stale without an authenticator before it');
    const id = (key) => map.get(key) instanceof Uint8Array && Buffer.from(map.get(key)).toString('hex');
    if (!id(1) || !id(2) || map.get(3) === undefined) throw protocolError('stale without state');
    this.newest = { bootId: id(1), instanceId: id(2), generation: BigInt(map.get(3)) };
    this.hasShown = false;
    this.acceptedAt = 0;
    if (this.asked) this.asked.isVoid = true;
    else await this.ask();
  }

  // Attester

  onRequest(request) {
    if (!this.peer.asks || this.held) throw protocolError('a request now');
    this.held = request;
    return this.answerHeld();
  }

  // A server that asks as well shows itself only to a client that it trusts.
  async answerHeld() {
    if (!this.held || (this.us === 'server' && this.asks && !this.acceptedAt)) return;
    const request = this.held;
    this.held = null;
    // CertificateRequest: type, 3 bytes of length, then the context, with its length before it.
    const context = request.subarray(5, 5 + (request[4] ?? 0));
    if (context.length === 0 || context.length !== request[4])
      throw new Refused('malformed-request: it has no context');
    // Else a peer could have us answer, or accept, its echo of our own request.
    if (this.asks)
      await this.verifier.recordContext(context).catch((e) => {
        throw new Refused('context-reused: it was used on this connection', context, e);
      });
    const authenticator = await this.attester.answer(request, context).catch((e) => {
      console.log(`no evidence for the peer: ${e.text ?? e.message}`);
      return orUnavailable(this.attester.refuse(request));
    });
    this.answered = { context, isVoid: false };
    this.isTrusted = false;
    this.send(AUTHENTICATOR, authenticator);
  }

  // The peer's policy needs a log beside our evidence. docs/any-language.md says how to give one.
  onLogRequest(map) {
    const log = map.get(1), from = map.get(2);
    const isNumber = typeof from === 'bigint' || (Number.isInteger(from) && from >= 0);
    if (!this.answered || !['ima', 'boot', 'register'].includes(log) || !isNumber)
      throw protocolError('a log request now');
    this.send(LOG_ENTRIES,
      encode([1, log], [2, from], [3, Buffer.alloc(0)], [4, ''], [5, false], [6, 'logs are not given']));
  }

  onAccepted(map) {
    const context = map.get(1);
    if (!this.answered || !(context instanceof Uint8Array) || !this.answered.context.equals(context))
      throw protocolError('accepted is about another context than our newest answer');
    this.isTrusted = !this.answered.isVoid; // if not, it has crossed our stale
    this.wasTrusted = true;
    this.answered = null;
  }

  // Tells the peer when our guest has changed since the evidence that it accepted.
  async checkStale() {
    if (!this.isTrusted || !(await this.attester.isStale())) return;
    const { bootId, instanceId, generation } = await orUnavailable(this.attester.state());
    this.isTrusted = false;
    this.send(STALE, encode([1, bootId], [2, instanceId], [3, generation], [4, []]));
  }

  // Data

  onData(payload) {
    // The peer's gate is open only if we have accepted it, and it us. Under way, or while
    // we ask again, its data may also rest on what was accepted before.
    if (payload.length === 0 || (this.asks && !this.acceptedAt) || (this.peer.asks && !this.wasTrusted))
      throw protocolError('data now');
    this.inboxSize += payload.length;
    if (this.inboxSize > INBOX_MAX) throw protocolError("too much data before the peer's answer");
    this.inbox.push(payload);
  }

  // Takes in frames until it is so, for as long as the peer may take to answer.
  async wait(isSo) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Refused('timed-out: the peer owes an answer')), ANSWER_MS);
    });
    try {
      while (!isSo()) {
        if (this.peerEnded) throw new Error('the peer has ended');
        await Promise.race([this.step(), late]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  // Sends data as soon as the gate is open.
  async write(data) {
    for (let at = 0; at < data.length; at += limits[DATA]) {
      try {
        await this.checkStale();
        if (this.asks && !this.asked && performance.now() - this.acceptedAt > MAX_AGE_MS) await this.ask();
        await this.wait(() => this.isOpen);
      } catch (e) {
        this.fail(e);
      }
      // Else Node would keep all that a peer does not read.
      if (!this.send(DATA, data.subarray(at, at + limits[DATA]))) await this.drained();
    }
  }

  // Some data; null only when the peer has said that it ends.
  async readSome() {
    try {
      while (this.inbox.length === 0 && !this.peerEnded) await this.step();
    } catch (e) {
      this.fail(e);
    }
    const data = this.inbox.shift() ?? null;
    this.inboxSize -= data?.length ?? 0;
    return data;
  }

  // Says that this end sends no more, and waits until the peer has said it too.
  async end() {
    this.send(END);
    this.socket.end();
    while (!this.peerEnded) await this.step();
    // To its close_notify: closed over unread bytes, the socket would reset the peer. Nothing
    // that can happen now makes a difference.
    for (let done = false; !done; ) ({ done } = await this.chunks.next().catch(() => ({ done: true })));
  }

  async close() {
    await this.verifier?.close();
    await this.attester?.close();
    // What was sent last, such as why we refuse, should still get out.
    await Promise.race([new Promise((resolve) => this.socket.end(resolve)), delay(1000)]);
    this.socket.destroy();
  }
}
