#!/usr/bin/env bash
# A source file has at most 500 lines, so that there is one reason to open it. Generated files are listed here.
set -euo pipefail
cd "$(dirname "$0")/../.."

LIMIT=500
GENERATED='^geo/src/country/table\.rs$'

long=$(git ls-files '*.rs' '*.ts' '*.tsx' '*.mjs' '*.css' '*.sh' '*.py' |
    grep -vE "$GENERATED" |
    while IFS= read -r file; do
        [ -f "$file" ] || continue # deleted and not committed yet
        lines=$(wc -l <"$file")
        [ "$lines" -le "$LIMIT" ] || echo "  $file: $lines lines"
    done)
if [ -n "$long" ]; then
    printf 'sizes: files over %s lines; split them by what they are about:\n%s\n' "$LIMIT" "$long" >&2
    exit 1
fi
echo "sizes: every source file has at most $LIMIT lines"
