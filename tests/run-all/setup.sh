# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by ./check and ./demo: becomes root, and installs what is missing on a Debian 12.

say() {
        printf '\n== %s\n' "$*"
}

if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
                echo "$0: needs root (mount namespaces, FUSE, a private bus) and there is no sudo" >&2
                exit 2
        fi
        exec sudo --preserve-env=CI "$0" "$@"
fi

# install PACKAGE...: those that are not there yet
install_packages() {
        missing=
        for package; do
                dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
                        missing="$missing $package"
        done
        [ -n "$missing" ] || return 0

        say "installing:$missing"
        log=$(mktemp)
        if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
                $missing; } >"$log" 2>&1; then
                tail -n 30 "$log" >&2
                rm -f "$log"
                echo "$0: cannot install:$missing" >&2
                exit 2
        fi
        rm -f "$log"
}

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libsystemd-dev libssl-dev libcbor-dev
        libjansson-dev libtss2-dev libcap-dev check libfuse3-dev fuse3 dbus-daemon dbus-bin python3 python3-gi python3-dbus python3-cbor2
        python3-cryptography util-linux procps"
CHECK_PACKAGES="clang-14 libclang-rt-14-dev llvm-14 gcovr mandoc man-db systemd python3-dbusmock binutils file openssl
        bash-completion swtpm swtpm-tools tpm2-tools ima-evm-utils qemu-system-x86 busybox-static make libelf1 libdbus-1-dev libgnutls28-dev
        python3-openssl"

# Files of the host stay as they are: everything happens below these two.
top=$(cd "$(dirname "$0")" && pwd)
builds=$top/build
