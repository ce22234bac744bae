#!/usr/bin/env bash
# The configurations in this folder must be what the program reads, and the documented defaults what it does.
# infra/ci/config.sh <path of the causeway binary>
set -euo pipefail
causeway=$(realpath "$1")
cd "$(dirname "$0")/../.."

for config in infra/node.toml infra/demo/fra.toml infra/demo/sin.toml infra/demo/syd.toml; do
    "$causeway" check-config --config "$config" >/dev/null
    echo "config: $config is good"
done

# `#key = value` in node.toml claims to be the default: with all of them stated, nothing may change.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -E 's/^#([a-z_.]+ = )/\1/' infra/node.toml >"$work/stated.toml"
"$causeway" check-config --config infra/node.toml >"$work/defaults"
"$causeway" check-config --config "$work/stated.toml" >"$work/stated"
if ! diff "$work/defaults" "$work/stated"; then
    echo "config: infra/node.toml states other defaults (>) than the program has (<)" >&2
    exit 1
fi
echo "config: the defaults infra/node.toml states are those of the program"
