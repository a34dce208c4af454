#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-layers.sh SRC: includes point downwards, and a foreign library has one door.
set -eu
cd "$1"
status=0

below() {
        case $1 in
        util) ;;
        codec) echo util ;;
        crypto) echo 'codec util' ;;
        tee) echo 'codec crypto util' ;;
        ea) echo 'codec crypto util' ;;
        attester) echo 'ea tee codec crypto util' ;;
        verifier) echo 'ea codec crypto util' ;;
        bus) echo 'attester verifier ea tee codec crypto util' ;;
        lib) echo 'ea codec crypto util' ;;
        *) echo "no such layer: $1" >&2 && exit 1 ;;
        esac
}

for layer in */; do
        layer=${layer%/}
        allowed=" $layer $(below "$layer") "

        for used in $(sed -n 's/^#include "\([^/"]*\).*/\1/p' "$layer"/*.[ch] | sort -u); do
                case $allowed in
                *" $used "*) ;;
                *) grep -n "^#include \"$used" "$layer"/*.[ch] && status=1 ;;
                esac
        done
done

# door HEADERS LAYER...: only these layers, and no program, include them.
door() {
        header=$1
        shift
        found=$(grep -rn --include='*.[ch]' "^#include <$header" . || true)
        for layer; do
                found=$(printf '%s' "$found" | grep -v "^\./$layer/" || true)
        done
        if [ -n "$found" ]; then
                printf '%s\n' "$found"
                status=1
        fi
}
door openssl/ crypto lib
door systemd/ bus
door cbor.h codec
door tss2/ tee

exit $status
