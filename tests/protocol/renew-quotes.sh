#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# renew-quotes.sh MAKE_VECTORS TDX_FORGE VECTORS: forge the quotes of VECTORS anew,
# when C has changed and REPORTDATA with it, and write the rest around them.
set -eu
make_vectors=$1 tdx_forge=$2 vectors=$3
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
some_mr=$(printf '5e%.0s' $(seq 48))

"$make_vectors" --report-data | while read -r name report_data; do
        case $name in
        quote-sha384.bin) fields='version=5 body=1.5' ;;
        quote-full.bin) fields='version=5 pem-nul=1' ;;
        quote-debug.bin) fields='debug=1' ;;
        # SEPT_VE_DISABLE off, MIGRATABLE, a service TD
        quote-weak.bin) fields="version=5 body=1.5 tdattributes=0000002000000000 mrservicetd=$some_mr" ;;
        # bit 31
        quote-reserved.bin) fields='tdattributes=0000009000000000' ;;
        # a module that Intel has not signed
        quote-module.bin) fields="mrsignerseam=$some_mr" ;;
        *) fields= ;;
        esac
        # shellcheck disable=SC2086 # fields are words
        "$tdx_forge" --state "$state" --report-data "$report_data" --out "$vectors/$name" $fields
done
cp "$state/root-spki-sha256" "$vectors/root-spki-sha256"
"$make_vectors" "$vectors" "$vectors"
