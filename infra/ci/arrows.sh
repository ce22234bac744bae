#!/usr/bin/env bash
# Proves the import rules of the house (ARCHITECTURE.md): who may depend on whom, which crates are pure, and that
# the serialiser of the wire stays in one module. Needs cargo and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."

OURS=(relay-proto geo bridge-core signaling bridge loadtest)
PURE=(relay-proto geo bridge-core)
declare -A FOLDER=([relay-proto]=relay-proto [geo]=geo [bridge-core]=bridge/core)
declare -A MAY_IMPORT=(
    [relay-proto]=""
    [geo]=""
    [bridge-core]="relay-proto"
    [signaling]="relay-proto geo"
    [bridge]="bridge-core signaling relay-proto geo"
    [loadtest]="relay-proto"
)
# Asynchronous runtimes, sockets, event loops, clients of the network.
IMPURE='tokio|mio|quinn|quinn-proto|quinn-udp|socket2|async-std|smol|hyper|reqwest|axum'

broken=0
refuse() {
    echo "arrows: $*" >&2
    broken=1
}

# Names of all packages a crate is built from, without itself.
tree_of() {
    cargo tree --locked --package "$1" --edges normal --all-features --prefix none --format '{p}' |
        cut -d' ' -f1 | sort -u | grep -vx "$1" || true
}

for crate in "${OURS[@]}"; do
    tree=$(tree_of "$crate")
    for other in "${OURS[@]}"; do
        [ "$other" = "$crate" ] && continue
        if grep -qx "$other" <<<"$tree" && ! grep -qw -- "$other" <<<"${MAY_IMPORT[$crate]}"; then
            refuse "$crate must not depend on $other (allowed: ${MAY_IMPORT[$crate]:-none of ours})"
        fi
    done
done

for crate in "${PURE[@]}"; do
    found=$(tree_of "$crate" | grep -Ex "$IMPURE" || true)
    [ -z "$found" ] || refuse "$crate is pure and must not depend on: $(tr '\n' ' ' <<<"$found")"

    bans="${FOLDER[$crate]}/clippy.toml"
    if [ ! -f "$bans" ] || ! grep -q 'Instant::now' "$bans"; then
        refuse "$crate is pure: $bans must ban clocks, sleeps, threads, environment, sockets and files"
    elif ! cmp -s "$bans" bridge/core/clippy.toml; then
        refuse "$bans must be the same as bridge/core/clippy.toml"
    fi
done

while IFS= read -r setting; do
    grep -qxF -- "$setting" bridge/core/clippy.toml ||
        refuse "bridge/core/clippy.toml replaces clippy.toml and must repeat: $setting"
done <clippy.toml

for manifest in $(git ls-files '*Cargo.toml' | grep -v /fuzz/); do
    [ "$manifest" = Cargo.toml ] && continue
    grep -qA1 '^\[lints\]' "$manifest" || refuse "$manifest lacks [lints] workspace = true"
    if [ "$manifest" != relay-proto/Cargo.toml ] && grep -q '^bincode' "$manifest"; then
        refuse "$manifest depends on bincode; only relay-proto may"
    fi
done

# Everywhere but in the codec, bincode may be named only to derive and in comments.
stray=$(git ls-files '*.rs' | grep -v '^relay-proto/src/codec' |
    xargs grep -snE '\bbincode\b' |
    grep -vE ':[0-9]+:\s*//|:[0-9]+:use bincode::\{Decode, Encode\};$' || true)
[ -z "$stray" ] || refuse $'bincode outside relay-proto/src/codec.rs:\n'"$stray"
stray=$(git ls-files '*.rs' | grep -v '^relay-proto/src/' | xargs grep -sln 'use bincode' || true)
[ -z "$stray" ] || refuse "bincode is derived outside relay-proto: $stray"
grep -q '^bincode = { version = "=2\.0\.1"' Cargo.toml || refuse "bincode must be pinned to =2.0.1"

grep -q 'Apache License' LICENSE || refuse "LICENSE must hold the Apache License 2.0"
unlicensed=$(cargo metadata --locked --format-version 1 | tr '{' '\n' | grep -o '"license":null,"license_file":null' || true)
[ -z "$unlicensed" ] || refuse "a dependency states no licence; run cargo deny check licenses"

[ "$broken" -eq 0 ] || exit 1
echo "arrows: ${#OURS[@]} crates import only what they may; ${#PURE[@]} are pure; bincode is in one module"
