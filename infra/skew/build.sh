#!/usr/bin/env bash
# Builds the node of the commit in infra/skew/previous, to be run beside the one of today; prints where the program is.
# Needs the whole history. Its sources and what cargo makes of them stay below target/skew: a second run builds nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=$(grep -v '^#' infra/skew/previous)
folder=${TARGET_DIR:-target}/skew
source=$folder/$commit

git merge-base --is-ancestor "$commit" HEAD || {
    echo "skew: $commit is no ancestor of this commit, or the history is not here (git fetch --unshallow)" >&2
    exit 1
}
if [ ! -f "$source/Cargo.toml" ]; then
    rm -rf "$source" "$source.part"
    mkdir -p "$source.part"
    git archive "$commit" | tar -x -C "$source.part"
    mv "$source.part" "$source"
fi
# Nobody looks at its web client: an empty page spares the packages for it.
mkdir -p "$folder/web"
[ -f "$folder/web/index.html" ] || echo '<!doctype html><title>none</title>' >"$folder/web/index.html"
build=$(realpath "$folder")/build
CAUSEWAY_WEB_DIST=$(realpath "$folder/web") CARGO_TARGET_DIR=$build \
    ${CARGO:-cargo} build --manifest-path "$source/Cargo.toml" --package bridge --bin causeway >&2
echo "$build/debug/causeway"
