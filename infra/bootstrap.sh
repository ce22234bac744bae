#!/usr/bin/env bash
# Makes sure that what a task needs is on this machine: infra/bootstrap.sh <need>...
#
#   build     C compiler and Rust          web      Node and the npm packages of web/
#   browser   Chromium                     sdk      a Python environment with the SDK under test
#   demo      curl                         systemd  systemd-analyze
#   wan       ip, for network namespaces
#   etcd      etcd, for tests of the room directory
#   all       everything above
#
# Idempotent and quick when nothing is missing. Debian packages are installed as root only; otherwise one sentence
# says what to run. Rust itself is never installed behind your back.
set -euo pipefail
cd "$(dirname "$0")/.."

NODE_NEEDED=20.19.0
SDK_PACKAGE=livekit==1.2.1
SDK_ENVIRONMENT=target/sdk

say() { printf 'bootstrap: %s\n' "$*" >&2; }
stop() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

updated=no
debian() {
    [ "$(id -u)" -eq 0 ] || stop "missing: $*. Run as root: apt-get install $*"
    have apt-get || stop "missing: $*. This is no Debian system: install them with your package manager"
    say "installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    if [ "$updated" = no ]; then
        apt-get update -qq </dev/null
        updated=yes
    fi
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

need_build() {
    have cc || debian gcc libc6-dev
    have make || debian make
    have git || debian git
    have cargo || stop "missing: Rust. Install rustup from https://rustup.rs, then open a new shell"
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(rustc --version | cut -d' ' -f2)
    at_least "$found" "$wanted" || stop "Rust $found is older than $wanted. Run: rustup update stable"
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
        rustup component add rustfmt clippy || stop "missing: rustfmt and clippy"
}

need_demo() {
    have curl || debian curl
}

need_web() {
    # Debian 12 packages Node 18, which the build tools refuse, so it is not installed from there.
    have node && have npm || stop "missing: Node $NODE_NEEDED or newer with npm. See https://nodejs.org"
    local found
    found=$(node --version)
    at_least "${found#v}" "$NODE_NEEDED" || stop "Node $found is older than $NODE_NEEDED. See https://nodejs.org"
    # npm writes this file last, so it is newer than the lock only after a complete installation.
    local done=web/node_modules/.package-lock.json
    if [ ! -f "$done" ] || [ web/package-lock.json -nt "$done" ]; then
        say "installing npm packages in web/"
        npm ci --prefix web --no-audit --no-fund --loglevel=error </dev/null >&2
        touch "$done"
    fi
}

need_browser() {
    if [ -n "${CHROMIUM:-}" ]; then
        [ -x "$CHROMIUM" ] || stop "CHROMIUM=$CHROMIUM is no program"
    elif ! have chromium; then
        debian chromium
    fi
}

need_sdk() {
    if "$SDK_ENVIRONMENT/bin/python" -c 'import livekit.rtc' 2>/dev/null &&
        [ "$(cat "$SDK_ENVIRONMENT/installed" 2>/dev/null)" = "$SDK_PACKAGE" ]; then
        return
    fi
    have python3 || debian python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
    say "installing $SDK_PACKAGE in $SDK_ENVIRONMENT"
    python3 -m venv --clear "$SDK_ENVIRONMENT"
    "$SDK_ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check "$SDK_PACKAGE" </dev/null >&2
    printf '%s' "$SDK_PACKAGE" >"$SDK_ENVIRONMENT/installed"
}

need_systemd() {
    have systemd-analyze || debian systemd
}

need_wan() {
    # Without root there are no namespaces, and what would use them says so and does without.
    have ip || [ "$(id -u)" -ne 0 ] || debian iproute2
}

need_etcd() {
    have etcd && return
    # A test starts its own; the service that comes with the package is not wanted.
    local policy=/usr/sbin/policy-rc.d
    if [ "$(id -u)" -eq 0 ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    debian etcd-server
}

[ $# -gt 0 ] || stop "what for? build, web, browser, sdk, demo, systemd, wan, etcd or all"
for need in "$@"; do
    case $need in
    build | web | browser | sdk | demo | systemd | wan | etcd) "need_$need" ;;
    all) for each in build web browser sdk demo systemd wan etcd; do "need_$each"; done ;;
    *) stop "unknown need: $need" ;;
    esac
done
