module attested

go 1.19

require (
	github.com/fxamacker/cbor/v2 v2.5.0
	github.com/godbus/dbus/v5 v5.1.0
)

require github.com/x448/float16 v0.8.4 // indirect
