#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# renew-quotes.sh MAKE_VECTORS TDX_FORGE SNP_FORGE VECTORS: forge the quotes and reports
# of VECTORS anew, when C has changed and REPORTDATA with it, and write the rest around them.
set -eu
make_vectors=$1 tdx_forge=$2 snp_forge=$3 vectors=$4
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
some_mr=$(printf '5e%.0s' $(seq 48))

# A VCEK of a Milan, unless the name says something else.
forge_report() {
        name=$1 report_data=$2
        case $name in
        report-vlek.bin) fields='product=turin version=5 signer=vlek' ;;
        report-svsm.bin) fields='product=milan version=4' ;;
        report-cocos.bin) fields='product=turin version=5 hwid-wrapped=1' ;;
        report-debug.bin | report-migratable.bin | report-vmpl.bin | report-tcb.bin)
                fields="product=milan flaw=$(expr "$name" : 'report-\(.*\).bin')" ;;
        report-masked.bin) fields='product=milan flaw=masked-chip-id' ;;
        report-chip.bin) fields='product=milan flaw=chip-id' ;;
        report-overlap.bin) fields='product=milan flaw=table-overlap' ;;
        report-signature.bin) fields='product=milan flaw=bad-signature' ;;
        *) fields='product=milan' ;;
        esac
        # shellcheck disable=SC2086 # fields are words
        "$snp_forge" --state "$state" --report-data "$report_data" --out "$vectors/$name" \
                --table "$vectors/table-${name#report-}" $fields
}

"$make_vectors" --report-data | while read -r name report_data; do
        case $name in
        report-*)
                forge_report "$name" "$report_data"
                continue
                ;;
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
cp "$state/root-spki-sha256" "$state/ark-milan-spki-sha256" "$state/ark-turin-spki-sha256" "$vectors"
"$make_vectors" "$vectors" "$vectors"
