// SPDX-License-Identifier: LGPL-2.1-or-later

package main

// The native mode of docs/protocol.md, section 6: from the hello to the end every
// byte on the TLS connection is in a frame.

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	frameHello         = 0
	frameRequest       = 1
	frameAuthenticator = 2
	frameAccepted      = 3
	frameRefused       = 4
	frameStale         = 5
	frameLogRequest    = 6
	frameLogEntries    = 7
	frameData          = 8
	frameEnd           = 9
)

// Limits of payloads; a type that is not here is not received.
var limits = map[byte]uint32{
	frameHello: 4 << 10, frameRequest: 16 << 10, frameAuthenticator: 128 << 10, frameAccepted: 4 << 10,
	frameRefused: 4 << 10, frameStale: 4 << 10, frameLogRequest: 4 << 10, frameData: 16 << 10, frameEnd: 0,
}

const (
	profile = "tag:attestd.org,2026:evidence/1"
	format  = "application/vnd.veraison.tsm-report+cbor"

	answerTime = 30 * time.Second // for what the peer owes us
	maxAge     = 10 * time.Minute // of evidence; then we ask again
	inboxMax   = 1 << 20          // of data that the peer sends while we wait for something else
	reasonMax  = 1024             // of a refusal
)

type hello struct {
	Version  uint     `cbor:"1,keyasint"`
	Profiles []string `cbor:"2,keyasint"`
	Formats  []string `cbor:"3,keyasint"`
	Batch    bool     `cbor:"4,keyasint"`
	Asks     bool     `cbor:"5,keyasint"`
	Gives    bool     `cbor:"6,keyasint"`
}

type acceptedFrame struct {
	Context []byte `cbor:"1,keyasint"`
}

type refusedFrame struct {
	Context []byte `cbor:"1,keyasint"`
	Reason  string `cbor:"2,keyasint"`
}

type staleFrame struct {
	BootID     []byte   `cbor:"1,keyasint"`
	Instance   []byte   `cbor:"2,keyasint"`
	Generation uint64   `cbor:"3,keyasint"`
	Reasons    []string `cbor:"4,keyasint"`
}

type logRequestFrame struct {
	Log  string `cbor:"1,keyasint"`
	From uint64 `cbor:"2,keyasint"`
}

type logEntriesFrame struct {
	Log     string `cbor:"1,keyasint"`
	First   uint64 `cbor:"2,keyasint"`
	Entries []byte `cbor:"3,keyasint"`
	Bank    string `cbor:"4,keyasint"`
	More    bool   `cbor:"5,keyasint"`
	Reason  string `cbor:"6,keyasint"`
}

// Deterministic encoding; what comes in another one is not accepted everywhere.
var encoder, _ = cbor.CoreDetEncOptions().EncMode()

// Strict: no key twice, no indefinite lengths, no tags.
var decoder, _ = cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
}.DecMode()

// Refused is why there is no connection: by our verdict, or by the protocol.
type Refused struct {
	Reason  string // a name of docs/protocol.md section 10, ": ", a sentence; the peer is told
	Context []byte // that it is about, if any
	Cause   error  // in our own house, of which the peer is not told
}

func (r *Refused) Error() string {
	if r.Cause != nil {
		return fmt.Sprintf("%s (%v)", r.Reason, r.Cause)
	}
	return r.Reason
}

func (r *Refused) Unwrap() error { return r.Cause }

func protocolError(format string, arguments ...any) error {
	return &Refused{Reason: "protocol-error: " + fmt.Sprintf(format, arguments...)}
}

// Connection reads and writes only while both ends are content with each other's
// evidence. For one goroutine.
type Connection struct {
	tls       *tls.Conn
	us, them  string // "client", "server"
	peer      *hello
	peerEnded bool
	inbox     []byte

	// As relying party; nil if we do not ask.
	verifier   *verifier
	asked      []byte // context of our request that the peer has not answered
	askedAt    time.Time
	askedVoid  bool      // the peer's state has changed since: the answer is none
	acceptedAt time.Time // when evidence was asked for that we have accepted; zero: there is none
	hasShown   bool      // the peer has answered since its last stale
	newest     staleFrame

	// As attester; nil if we give nothing.
	attester     *attester
	held         []byte // the peer's request, while we do not trust the peer
	answered     []byte // context of our newest answer, on which we have no verdict
	answeredVoid bool   // we have told the peer of a change since
	isTrusted    bool   // the peer has accepted our newest answer
	wasTrusted   bool
}

// Open makes the handshake and the exchange. After it both ends have said yes.
func Open(t *tls.Conn, o *options) (*Connection, error) {
	c := &Connection{tls: t, us: "client", them: "server"}
	if o.isServer {
		c.us, c.them = c.them, c.us
	}
	_ = t.SetDeadline(time.Now().Add(answerTime))
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("no TLS handshake: %w", err)
	}
	_ = t.SetDeadline(time.Time{})

	if err := c.begin(o); err != nil {
		err = c.fail(err)
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Connection) begin(o *options) error {
	b, err := newBinding(c.tls.ConnectionState())
	if err != nil {
		return err
	}
	if o.policy != "" {
		if c.verifier, err = newVerifier(o, b, c.them); err != nil {
			return unavailable(err)
		}
	}
	if o.give {
		if c.attester, err = newAttester(o, b, c.us); err != nil {
			return unavailable(err)
		}
	}
	if err := c.sendCBOR(frameHello, hello{1, []string{profile}, []string{format}, false, c.asks(), o.give}); err != nil {
		return err
	}
	return c.wait(func() bool { return c.peer != nil && c.isOpen() })
}

func (c *Connection) asks() bool { return c.verifier != nil }

// isOpen is the gate: our verdict, and the peer's on us.
func (c *Connection) isOpen() bool {
	return (!c.asks() || c.asked == nil && !c.acceptedAt.IsZero()) && (!c.peer.Asks || c.isTrusted)
}

func unavailable(err error) error {
	return &Refused{Reason: "service-unavailable: a service of this end does not do its part", Cause: err}
}

// fail tells the peer, if it is not the one who told us.
func (c *Connection) fail(err error) error {
	var r *Refused
	var timeout net.Error

	if errors.As(err, &timeout) && timeout.Timeout() {
		err = &Refused{Reason: "timed-out: the peer owes an answer"}
	}
	if errors.As(err, &r) {
		context := r.Context
		if context == nil {
			context = []byte{}
		}
		reason := r.Reason
		if len(reason) > reasonMax {
			reason = strings.ToValidUTF8(reason[:reasonMax], "")
		}
		_ = c.sendCBOR(frameRefused, refusedFrame{context, reason})
		_ = c.tls.CloseWrite()
	}
	return err
}

// Frames

func (c *Connection) send(kind byte, payload []byte) error {
	frame := make([]byte, 5, 5+len(payload))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	_, err := c.tls.Write(append(frame, payload...))
	return err
}

func (c *Connection) sendCBOR(kind byte, value any) error {
	payload, err := encoder.Marshal(value)
	if err != nil {
		return err
	}
	return c.send(kind, payload)
}

// The limit is checked before there is room for the payload.
func (c *Connection) receive() (byte, []byte, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(c.tls, header); err != nil {
		// Go does not tell a stream that was cut between two records from one that was
		// ended (io.EOF both). The frame "end" does.
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the peer closed the connection without the frame \"end\"")
		}
		return 0, nil, err
	}
	limit, known := limits[header[0]]
	size := binary.BigEndian.Uint32(header[1:])
	if !known {
		return 0, nil, protocolError("a frame of type %d", header[0])
	}
	if size > limit {
		return 0, nil, protocolError("a frame of type %d with %d bytes", header[0], size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.tls, payload); err != nil {
		return 0, nil, fmt.Errorf("inside a frame: %w", err)
	}
	return header[0], payload, nil
}

func decode(payload []byte, value any) error {
	if err := decoder.Unmarshal(payload, value); err != nil {
		return protocolError("%v", err)
	}
	return nil
}

// step takes in one frame, and does what it calls for.
func (c *Connection) step() error {
	kind, payload, err := c.receive()
	if err != nil {
		return err
	}
	if (c.peer == nil) != (kind == frameHello) || c.peerEnded {
		return protocolError("a frame of type %d now", kind)
	}
	switch kind {
	case frameHello:
		return c.onHello(payload)
	case frameRequest:
		return c.onRequest(payload)
	case frameAuthenticator:
		return c.onAuthenticator(payload)
	case frameAccepted:
		return c.onAccepted(payload)
	case frameRefused:
		var r refusedFrame
		if err := decode(payload, &r); err != nil {
			return err
		}
		return fmt.Errorf("by the peer: %q", r.Reason)
	case frameStale:
		return c.onStale(payload)
	case frameLogRequest:
		return c.onLogRequest(payload)
	case frameData:
		return c.onData(payload)
	default: // frameEnd
		c.peerEnded = true
		return nil
	}
}

func contains(list []string, text string) bool {
	for _, entry := range list {
		if entry == text {
			return true
		}
	}
	return false
}

func (c *Connection) onHello(payload []byte) error {
	c.peer = &hello{}
	if err := decode(payload, c.peer); err != nil {
		return err
	}
	switch {
	case c.peer.Version < 1:
		return protocolError("a hello of version %d", c.peer.Version)
	case !c.asks() && !c.peer.Asks:
		return protocolError("neither end asks for evidence")
	case c.peer.Asks && c.attester == nil:
		return &Refused{Reason: "attestation-missing: this end gives no evidence"}
	case !contains(c.peer.Profiles, profile):
		return &Refused{Reason: "no-common-profile: the peer does not speak the profile of this end"}
	case !contains(c.peer.Formats, format):
		return &Refused{Reason: "no-common-format: the peer does not speak the evidence format of this end"}
	}
	// Whatever the peer says that it gives: we ask.
	if c.asks() {
		return c.ask()
	}
	return nil
}

// Relying party

func (c *Connection) ask() error {
	request, context, err := c.verifier.createRequest()
	if err != nil {
		return unavailable(err)
	}
	c.asked, c.askedAt, c.askedVoid = context, time.Now(), false
	return c.send(frameRequest, request)
}

func (c *Connection) onAuthenticator(payload []byte) error {
	context := c.asked
	if context == nil {
		return protocolError("an authenticator that nobody asked for")
	}
	c.asked, c.hasShown = nil, true
	if c.askedVoid {
		return c.ask()
	}
	v, err := c.verifier.validate(payload, context)
	if err != nil {
		return unavailable(err)
	}
	if v.reason == "" && v.bootID == hex.EncodeToString(c.newest.BootID) &&
		v.instance == hex.EncodeToString(c.newest.Instance) && v.generation < c.newest.Generation {
		v.reason = "evidence-stale: it speaks of an older generation than the peer has told of"
	}
	if v.reason != "" {
		return &Refused{Reason: v.reason, Context: context}
	}
	c.acceptedAt = c.askedAt
	if err := c.sendCBOR(frameAccepted, acceptedFrame{context}); err != nil {
		return err
	}
	return c.answerHeld()
}

// onStale: what we know of the peer is over, and nothing goes out until it has shown itself anew.
func (c *Connection) onStale(payload []byte) error {
	if !c.hasShown {
		return protocolError("stale without an authenticator before it")
	}
	c.newest = staleFrame{}
	if err := decode(payload, &c.newest); err != nil {
		return err
	}
	c.hasShown, c.acceptedAt = false, time.Time{}
	if c.asked != nil {
		c.askedVoid = true
		return nil
	}
	return c.ask()
}

// Attester

func (c *Connection) onRequest(payload []byte) error {
	if !c.peer.Asks || c.held != nil {
		return protocolError("a request now")
	}
	c.held = payload
	return c.answerHeld()
}

// requestContext of a CertificateRequest: type, 3 bytes of length, then the context, with its length before it.
func requestContext(request []byte) ([]byte, error) {
	if len(request) < 5 || len(request) < 5+int(request[4]) || request[4] == 0 {
		return nil, &Refused{Reason: "malformed-request: it has no context"}
	}
	return request[5 : 5+int(request[4])], nil
}

// answerHeld: a server that asks as well shows itself only to a client that it trusts.
func (c *Connection) answerHeld() error {
	if c.held == nil || c.us == "server" && c.asks() && c.acceptedAt.IsZero() {
		return nil
	}
	request := c.held
	c.held = nil
	context, err := requestContext(request)
	if err != nil {
		return err
	}
	// Else a peer could have us answer, or accept, its echo of our own request.
	if c.asks() {
		if err := c.verifier.recordContext(context); err != nil {
			return &Refused{Reason: "context-reused: it was used on this connection", Context: context, Cause: err}
		}
	}
	authenticator, err := c.attester.answer(request, context)
	if err != nil {
		fmt.Printf("no evidence for the peer: %v\n", err)
		if authenticator, err = c.attester.refuse(request); err != nil {
			return unavailable(err)
		}
	}
	c.answered, c.answeredVoid, c.isTrusted = context, false, false
	return c.send(frameAuthenticator, authenticator)
}

// onLogRequest: the peer's policy needs a log beside our evidence. docs/any-language.md says how to give one.
func (c *Connection) onLogRequest(payload []byte) error {
	var r logRequestFrame
	if err := decode(payload, &r); err != nil {
		return err
	}
	if c.answered == nil || r.Log != "ima" && r.Log != "boot" && r.Log != "register" {
		return protocolError("a log request now")
	}
	return c.sendCBOR(frameLogEntries, logEntriesFrame{
		Log: r.Log, First: r.From, Entries: []byte{}, Reason: "logs are not given",
	})
}

func (c *Connection) onAccepted(payload []byte) error {
	var a acceptedFrame
	if err := decode(payload, &a); err != nil {
		return err
	}
	if c.answered == nil || !bytes.Equal(a.Context, c.answered) {
		return protocolError("accepted is about another context than our newest answer")
	}
	c.answered = nil
	c.wasTrusted = true
	c.isTrusted = !c.answeredVoid // if not, it has crossed our stale
	return nil
}

// checkStale tells the peer when our guest has changed since the evidence that it accepted.
func (c *Connection) checkStale() error {
	if !c.isTrusted || !c.attester.isStale() {
		return nil
	}
	bootText, _ := c.attester.property("BootId").(string)
	instanceText, _ := c.attester.property("InstanceId").(string)
	generation, _ := c.attester.property("Generation").(uint64)
	boot, _ := hex.DecodeString(bootText)
	instance, _ := hex.DecodeString(instanceText)
	if len(boot) != 16 || len(instance) != 16 {
		return unavailable(errors.New("attestd has gone"))
	}
	c.isTrusted, c.answeredVoid = false, true
	return c.sendCBOR(frameStale, staleFrame{boot, instance, generation, []string{}})
}

// Data

func (c *Connection) onData(payload []byte) error {
	// The peer's gate is open only if we have accepted it, and it us. Under way, or while
	// we ask again, its data may also rest on what was accepted before.
	if len(payload) == 0 || c.asks() && c.acceptedAt.IsZero() || c.peer.Asks && !c.wasTrusted {
		return protocolError("data now")
	}
	if len(c.inbox)+len(payload) > inboxMax {
		return protocolError("too much data before the peer's answer")
	}
	c.inbox = append(c.inbox, payload...)
	return nil
}

// wait takes in frames until it is so, for as long as the peer may take to answer.
func (c *Connection) wait(isSo func() bool) error {
	_ = c.tls.SetReadDeadline(time.Now().Add(answerTime))
	for !isSo() {
		if c.peerEnded {
			return errors.New("the peer has ended")
		}
		if err := c.step(); err != nil {
			return err
		}
	}
	return c.tls.SetReadDeadline(time.Time{})
}

// Write sends data as soon as the gate is open.
func (c *Connection) Write(data []byte) (int, error) {
	for sent := 0; sent < len(data); {
		if err := c.mayWrite(); err != nil {
			return sent, c.fail(err)
		}
		n := len(data) - sent
		if n > int(limits[frameData]) {
			n = int(limits[frameData])
		}
		if err := c.send(frameData, data[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return len(data), nil
}

func (c *Connection) mayWrite() error {
	if err := c.checkStale(); err != nil {
		return err
	}
	if c.asks() && c.asked == nil && time.Since(c.acceptedAt) > maxAge {
		if err := c.ask(); err != nil {
			return err
		}
	}
	return c.wait(c.isOpen)
}

// Read returns io.EOF only when the peer has said that it ends.
func (c *Connection) Read(data []byte) (int, error) {
	for len(c.inbox) == 0 {
		if c.peerEnded {
			return 0, io.EOF
		}
		if err := c.step(); err != nil {
			return 0, c.fail(err)
		}
	}
	n := copy(data, c.inbox)
	c.inbox = c.inbox[n:]
	return n, nil
}

// End says that this end sends no more, and waits until the peer has said it too.
func (c *Connection) End() error {
	if err := c.send(frameEnd, nil); err != nil {
		return err
	}
	if err := c.tls.CloseWrite(); err != nil {
		return err
	}
	for !c.peerEnded {
		if err := c.step(); err != nil {
			return err
		}
	}
	// To its close_notify: closed over unread bytes, the socket would reset the peer. Nothing
	// that can happen now makes a difference.
	_ = c.tls.SetReadDeadline(time.Now().Add(answerTime))
	_, _ = io.Copy(io.Discard, c.tls)
	return nil
}

// Close ends the sessions with both services.
func (c *Connection) Close() {
	if c.verifier != nil {
		c.verifier.close()
	}
	if c.attester != nil {
		c.attester.close()
	}
}
