// SPDX-License-Identifier: LGPL-2.1-or-later

// attested is both ends of an attested TLS 1.3 connection in Go: crypto/tls, and
// D-Bus to attestd and attestd-verifier. The client sends a line, the server echoes it.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	exitRefused = 1
	exitUsage   = 2
)

const usage = `Usage: attested client --connect HOST:PORT --ca FILE --name NAME [OPTIONS]
       attested server --cert FILE --key FILE [OPTIONS]

Sends a line to a server that echoes it, once each end is content with the other's evidence.

`

type options struct {
	isServer           bool
	connect, message   string
	port               int
	once               bool
	cert, key          string
	ca, name           string
	policyFile         string
	give, giveToAnyone bool
	certificate        tls.Certificate
	anchors            [][]byte // of ca, DER
	pool               *x509.CertPool
	policy             string
	bus                *dbus.Conn
}

func giveUp(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "attested: "+format+"\n", arguments...)
	os.Exit(exitUsage)
}

func readOptions() *options {
	o := &options{}
	f := flag.NewFlagSet("attested", flag.ContinueOnError)
	f.StringVar(&o.connect, "connect", "", "client: where the server listens, `HOST:PORT`")
	f.StringVar(&o.message, "message", "hello", "client: the line to send, `TEXT`")
	f.IntVar(&o.port, "port", 0, "server: `PORT` of 127.0.0.1; 0 for any, and it is printed")
	f.BoolVar(&o.once, "once", false, "server: end after one connection, with its status")
	f.StringVar(&o.cert, "cert", "", "our certificate and its chain, PEM `FILE`")
	f.StringVar(&o.key, "key", "", "its private key, PEM `FILE`")
	f.StringVar(&o.ca, "ca", "", "CAs of the peer's certificate, PEM `FILE`")
	f.StringVar(&o.name, "name", "", "who the peer must be: DNS `NAME` or IP address")
	f.StringVar(&o.policyFile, "policy-file", "", "ask the peer for evidence, by the policy in `FILE`")
	f.BoolVar(&o.give, "give", false, "give evidence to a peer that asks, for --cert and --key")
	f.BoolVar(&o.giveToAnyone, "give-to-anyone", false, "server: also to clients that nobody has authenticated")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
		fmt.Fprint(f.Output(), "\nExit status: 0 accepted, 1 refused, 2 wrong usage or no connection.\n")
	}
	arguments := os.Args[1:]
	if len(arguments) == 0 {
		arguments = []string{"--help"}
	}
	if arguments[0] == "client" || arguments[0] == "server" {
		o.isServer = arguments[0] == "server"
		arguments = arguments[1:]
	} else if arguments[0] != "--help" && arguments[0] != "-h" {
		giveUp("client or server? see --help")
	}
	if err := f.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	} else if err != nil {
		os.Exit(exitUsage)
	}

	o.give = o.give || o.giveToAnyone
	asks := o.policyFile != ""
	switch {
	case f.NArg() > 0:
		giveUp("%s? see --help", f.Arg(0))
	case !o.isServer && (o.connect == "" || o.ca == "" || o.name == ""):
		giveUp("a client needs --connect, --ca and --name")
	case o.isServer && o.cert == "", (o.cert == "") != (o.key == ""), o.give && o.cert == "":
		giveUp("a server, and who gives evidence, needs --cert and --key")
	case asks && (o.ca == "" || o.name == ""):
		giveUp("--policy-file needs --ca and --name: evidence says what the peer is, not who")
	case !asks && !o.give:
		giveUp("ask for evidence with --policy-file, give it with --give, or both")
	case o.isServer && !asks && o.ca == "" && !o.giveToAnyone:
		giveUp("who may see our evidence? --ca for those with a certificate, or --give-to-anyone")
	}
	o.load()
	return o
}

func (o *options) load() {
	var err error

	if o.cert != "" {
		if o.certificate, err = tls.LoadX509KeyPair(o.cert, o.key); err != nil {
			giveUp("%s: %v", o.cert, err)
		}
	}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			giveUp("%v", err)
		}
		o.pool = x509.NewCertPool()
		if !o.pool.AppendCertsFromPEM(text) {
			giveUp("%s: no certificate in it", o.ca)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				o.anchors = append(o.anchors, block.Bytes)
			}
		}
	}
	if o.policyFile != "" {
		text, err := os.ReadFile(o.policyFile)
		if err != nil {
			giveUp("%v", err)
		}
		o.policy = string(text)
	}
	// The sessions of both services end with this connection to the bus.
	if o.bus, err = dbus.ConnectSystemBus(); err != nil {
		giveUp("no system bus: %v", err)
	}
}

// tlsConfig is what attestation demands of TLS, and the certificates.
func (o *options) tlsConfig() *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Go cannot choose among the suites of TLS 1.3, and need not: each is good.
		// Newer versions of Go would also offer X25519MLKEM768, which the protocol does not list.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		// A resumed session was attested on another connection, if at all.
		SessionTicketsDisabled: true,
	}
	if o.cert != "" {
		c.Certificates = []tls.Certificate{o.certificate}
	}
	if !o.isServer {
		c.RootCAs, c.ServerName = o.pool, o.name
	} else if o.ca != "" {
		c.ClientCAs, c.ClientAuth = o.pool, tls.RequireAndVerifyClientCert
	}
	return c
}

// ended reports what became of a connection; is it as it should be?
func ended(err error) bool {
	if err != nil {
		fmt.Printf("refused: %v\n", err)
	}
	return err == nil
}

func (o *options) client() bool {
	socket, err := net.Dial("tcp", o.connect)
	if err != nil {
		giveUp("%v", err)
	}
	defer socket.Close()
	c, err := Open(tls.Client(socket, o.tlsConfig()), o)
	if err != nil {
		return ended(err)
	}
	defer c.Close()
	fmt.Println("accepted")

	line := o.message + "\n"
	if _, err = io.WriteString(c, line); err != nil {
		return ended(err)
	}
	echo, err := bufio.NewReader(io.LimitReader(c, int64(len(line)))).ReadString('\n')
	if err != nil {
		return ended(err)
	}
	fmt.Print(echo)
	return ended(c.End())
}

func (o *options) serve(socket net.Conn) bool {
	defer socket.Close()
	c, err := Open(tls.Server(socket, o.tlsConfig()), o)
	if err != nil {
		return ended(err)
	}
	defer c.Close()
	fmt.Println("accepted")
	if _, err = io.Copy(c, c); err != nil {
		return ended(err)
	}
	return ended(c.End())
}

func (o *options) server() bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		giveUp("%v", err)
	}
	fmt.Printf("listening %s\n", listener.Addr().String()[strings.LastIndex(listener.Addr().String(), ":")+1:])
	for {
		socket, err := listener.Accept()
		if err != nil {
			giveUp("%v", err)
		}
		if o.once {
			return o.serve(socket)
		}
		go o.serve(socket)
	}
}

func main() {
	o := readOptions()
	run := o.client
	if o.isServer {
		run = o.server
	}
	if !run() {
		os.Exit(exitRefused)
	}
}
