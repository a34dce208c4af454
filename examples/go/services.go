// SPDX-License-Identifier: LGPL-2.1-or-later

package main

// What the two services are asked about one TLS connection. Everything that
// TLS has to give for it is here too: three exporter values and one signature.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

type dict = map[string]dbus.Variant

// binding is what evidence is bound to: the secrets of one TLS connection.
type binding struct {
	state tls.ConnectionState
	hash  string // of the cipher suite
	size  int    // of its digests
}

func newBinding(state tls.ConnectionState) (*binding, error) {
	b := &binding{state: state, hash: "sha256", size: 32}
	switch state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		b.hash, b.size = "sha384", 48
	default:
		return nil, errors.New("the cipher suite is not one of TLS 1.3")
	}
	if state.DidResume {
		return nil, errors.New("resumed-session: a resumed session was never attested")
	}
	return b, nil
}

// exported is what evidence for the context covers. Always 32 bytes, whatever the
// hash; and the label has no prefix "EXPORTER-".
func (b *binding) exported(context []byte) ([]byte, error) {
	return b.state.ExportKeyingMaterial("Attestation", context, 32)
}

// keys are those of RFC 9261 for the authenticator that the end `sender` sends.
// Their context is empty. For TLS 1.3 no context is the same (not so for TLS 1.2).
func (b *binding) keys(sender string) (dict, error) {
	d := dict{}
	for option, what := range map[string]string{"handshake_context": "handshake context", "finished_key": "finished key"} {
		value, err := b.state.ExportKeyingMaterial("EXPORTER-"+sender+" authenticator "+what, nil, b.size)
		if err != nil {
			return nil, err
		}
		d[option] = dbus.MakeVariant(value)
	}
	return d, nil
}

// session is one of org.attestd.Attester1 or org.attestd.Verifier1.
type session struct {
	object dbus.BusObject
	name   string // of its interface
}

func openSession(bus *dbus.Conn, service, path string, parameters dict) (*session, error) {
	var at dbus.ObjectPath

	err := bus.Object(service, dbus.ObjectPath(path)).Call(service+".OpenSession", 0, parameters).Store(&at)
	if err != nil {
		return nil, err
	}
	return &session{bus.Object(service, at), service + ".Session"}, nil
}

func (s *session) call(method string, arguments ...any) *dbus.Call {
	return s.object.Call(s.name+"."+method, 0, arguments...)
}

func (s *session) close() {
	if s != nil {
		s.call("Close")
	}
}

// verifier judges the peer's evidence.
type verifier struct {
	*session
	*binding
	peer string // "client" or "server"
}

// newVerifier names the peer: the authenticator's leaf has to chain to the anchors for that name.
func newVerifier(o *options, b *binding, peer string) (*verifier, error) {
	s, err := openSession(o.bus, "org.attestd.Verifier1", "/org/attestd/Verifier1", dict{
		"role":          dbus.MakeVariant(peer),
		"hash":          dbus.MakeVariant(b.hash),
		"policy_text":   dbus.MakeVariant(o.policy),
		"peer_name":     dbus.MakeVariant(o.name),
		"trust_anchors": dbus.MakeVariant(o.anchors),
	})
	return &verifier{s, b, peer}, err
}

func (v *verifier) createRequest() (request, context []byte, err error) {
	err = v.call("CreateRequest", dict{}).Store(&request, &context)
	return
}

// recordContext has to be told of each context that the peer has sent, before we answer it.
func (v *verifier) recordContext(context []byte) error {
	return v.call("RecordContext", context).Err
}

// verdict says "" or why not, and of which state of the guest the evidence speaks.
type verdict struct {
	reason           string
	bootID, instance string
	generation       uint64
}

func (v *verifier) validate(authenticator, context []byte) (*verdict, error) {
	exported, err := v.exported(context)
	if err != nil {
		return nil, err
	}
	options, err := v.keys(v.peer)
	if err != nil {
		return nil, err
	}

	var accepted bool
	var result dict
	if err := v.call("Validate", authenticator, exported, options).Store(&accepted, &result); err != nil {
		return nil, err
	}
	r := &verdict{}
	r.reason, _ = result["reason"].Value().(string)
	r.bootID, _ = result["boot_id"].Value().(string)
	r.instance, _ = result["instance_id"].Value().(string)
	r.generation, _ = result["generation"].Value().(uint64)
	if !accepted && r.reason == "" {
		r.reason = "refused"
	}
	return r, nil
}

// attester gives evidence of this guest.
type attester struct {
	*session
	*binding
	role        string // ours
	certificate tls.Certificate
	service     dbus.BusObject
}

func newAttester(o *options, b *binding, role string) (*attester, error) {
	s, err := openSession(o.bus, "org.attestd.Attester1", "/org/attestd/Attester1", dict{
		"role": dbus.MakeVariant(role),
		"hash": dbus.MakeVariant(b.hash),
	})
	return &attester{s, b, role, o.certificate, o.bus.Object("org.attestd.Attester1", "/org/attestd/Attester1")}, err
}

// answer makes the authenticator, with evidence in it, for a request with this context.
func (a *attester) answer(request, context []byte) ([]byte, error) {
	exported, err := a.exported(context)
	if err != nil {
		return nil, err
	}
	options, err := a.keys(a.role)
	if err != nil {
		return nil, err
	}

	var handle uint64
	var scheme uint16
	var toBeSigned, authenticator []byte
	err = a.call("BeginAuthenticator", request, exported, a.certificate.Certificate, options).
		Store(&handle, &scheme, &toBeSigned)
	if err != nil {
		return nil, err
	}
	signature, err := a.sign(scheme, toBeSigned)
	if err != nil {
		return nil, err
	}
	err = a.call("FinishAuthenticator", handle, signature).Store(&authenticator)
	return authenticator, err
}

// refuse makes the empty authenticator: that we give nothing, said by this very connection.
func (a *attester) refuse(request []byte) ([]byte, error) {
	options, err := a.keys(a.role)
	if err != nil {
		return nil, err
	}
	options["decline"] = dbus.MakeVariant(true)

	var handle uint64
	var scheme uint16
	var toBeSigned, authenticator []byte
	err = a.call("BeginAuthenticator", request, []byte{}, [][]byte{}, options).Store(&handle, &scheme, &toBeSigned)
	if err == nil {
		err = a.call("FinishAuthenticator", handle, []byte{}).Store(&authenticator)
	}
	return authenticator, err
}

// sign makes a signature of TLS 1.3, but only one for an authenticator: with the
// key of a TLS server, whoever may choose what is signed can be the server.
func (a *attester) sign(scheme uint16, toBeSigned []byte) ([]byte, error) {
	prefix := append(bytes.Repeat([]byte{0x20}, 64), "Exported Authenticator\x00"...)
	if !bytes.HasPrefix(toBeSigned, prefix) || len(toBeSigned) != len(prefix)+a.size {
		return nil, errors.New("attestd wants something signed that is no authenticator")
	}

	hashes := map[tls.SignatureScheme]crypto.Hash{
		tls.Ed25519:                0, // takes the message, not its hash
		tls.ECDSAWithP256AndSHA256: crypto.SHA256,
		tls.ECDSAWithP384AndSHA384: crypto.SHA384,
		tls.PSSWithSHA256:          crypto.SHA256,
		tls.PSSWithSHA384:          crypto.SHA384,
		tls.PSSWithSHA512:          crypto.SHA512,
	}
	hash, known := hashes[tls.SignatureScheme(scheme)]
	if !known {
		return nil, fmt.Errorf("attestd wants a signature by scheme %04x", scheme)
	}

	var options crypto.SignerOpts = hash
	digest := toBeSigned
	if hash != 0 {
		h := hash.New()
		h.Write(toBeSigned)
		digest = h.Sum(nil)
	}
	switch key := a.certificate.PrivateKey.(type) {
	case *rsa.PrivateKey: // PSS, with a salt as long as the hash: crypto.Hash alone would mean PKCS #1 v1.5
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		return key.Sign(rand.Reader, digest, options)
	case *ecdsa.PrivateKey: // in DER, as TLS wants it
		return key.Sign(rand.Reader, digest, options)
	case ed25519.PrivateKey:
		return key.Sign(rand.Reader, digest, options)
	}
	return nil, errors.New("the key is of no kind that can sign an authenticator")
}

// isStale: has the guest changed since the newest evidence of this session? To lose attestd is a change too.
// A program with many connections hears the signal Stale instead of asking.
func (a *attester) isStale() bool {
	value, err := a.object.GetProperty(a.name + ".Stale")
	stale, ok := value.Value().(bool)
	return err != nil || !ok || stale
}

// property of the service.
func (a *attester) property(name string) any {
	value, err := a.service.GetProperty("org.attestd.Attester1." + name)
	if err != nil {
		return nil
	}
	return value.Value()
}
