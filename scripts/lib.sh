# What the scripts share. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/steersman
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
cd "$ROOT"

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || die "this needs root, and there is no sudo: run it as root"
    sudo --preserve-env=CARGO_TARGET_DIR,DEBIAN_FRONTEND "$@"
}

# Installs the Debian packages that are missing. Services they bring are not started: a web server that took port 80
# or a database would be in the user's way.
need_packages() {
    local missing=() package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "not a Debian system: install what these packages have: ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    as_root "$ROOT/scripts/apt-install" "${missing[@]}"
}

# kubectl of any kind will do; Debian's if there is none.
need_kubectl() { command -v kubectl >/dev/null || need_packages kubernetes-client; }

# True if the first version is at least the second.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_is_new_enough() {
    command -v cargo >/dev/null && at_least "$(rustc --version 2>/dev/null | cut -d' ' -f2)" "$1"
}

# Installs rustup where Debian has it (13 and newer). The lists may be missing on a fresh machine.
rustup_from_debian() {
    command -v apt-get >/dev/null || return 0
    as_root apt-get update --quiet >&2
    [ -z "$(apt-cache madison rustup)" ] || need_packages rustup
}

# Debian's Rust is too old, so it comes from rustup.
need_rust() {
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if rust_is_new_enough "$wanted"; then return; fi
    command -v rustup >/dev/null || rustup_from_debian
    if command -v rustup >/dev/null; then
        say "installing Rust $wanted with rustup"
        rustup toolchain install "$wanted" --profile default && export RUSTUP_TOOLCHAIN=$wanted
        rust_is_new_enough "$wanted" && return
    fi
    die "Rust $wanted or newer is needed, and Debian's is too old. Install it with:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain $wanted
then run this again."
}

# A C compiler and the static C library: the binary is linked statically, and its cryptography has parts in C.
need_toolchain() {
    need_packages gcc libc6-dev make
    need_rust
}

# Where Cargo puts the binary; the argument is `debug` or `release`.
binary() { printf '%s/%s/%s/steersman\n' "$CARGO_TARGET_DIR" "$(rustc -vV | sed -n 's/^host: //p')" "$1"; }
