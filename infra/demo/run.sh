#!/usr/bin/env bash
# Runs the demonstration: three nodes on this machine, joined through emulated oceans. `make demo` builds and calls it.
# Logs go to .demo/; Ctrl-C stops everything.
set -euo pipefail
cd "$(dirname "$0")/../.."

BIN=${TARGET_DIR:-target}/${PROFILE:-debug}
LOGS=.demo
READY_WITHIN_S=30
ROOM=${ROOM:-demo}
NODES=(fra:Frankfurt:7880 sin:Singapore:7980 syd:Sydney:8080)
# Addresses of universities; any link works, each finds its own node.
CITIES=(
    "Boston:18.9.22.169" "Sao Paulo:143.107.1.1" "London:128.16.5.1" "Berlin:141.20.1.1"
    "Mumbai:103.21.124.1" "Singapore:137.132.1.1" "Tokyo:133.11.0.1"
    "Melbourne:128.250.1.1" "Sydney:129.78.5.1" "Auckland:130.216.1.1"
)

started=()
stop_all() {
    trap - EXIT INT TERM
    if [ "${#started[@]}" -gt 0 ]; then
        kill "${started[@]}" 2>/dev/null || true
        wait "${started[@]}" 2>/dev/null || true
    fi
}
trap stop_all EXIT
trap 'stop_all; echo; echo "demo: stopped"; exit 0' INT TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}

# Starts a program with its log; the process is remembered.
start() {
    local name=$1
    shift
    "$@" >"$LOGS/$name.log" 2>&1 </dev/null &
    started+=("$!")
}

show_log() {
    echo "--- last lines of $LOGS/$1.log" >&2
    tail -n 15 "$LOGS/$1.log" >&2
}

# Waits until a node says it is ready, and fails at once when its process ends.
await() {
    local name=$1 url=$2 pid=$3 deadline=$((SECONDS + READY_WITHIN_S))
    until curl --silent --fail --max-time 1 --output /dev/null "$url/readyz"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            show_log "$name"
            fail "node $name ended before it was ready"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            show_log "$name"
            fail "node $name was not ready within $READY_WITHIN_S s"
        fi
        sleep 0.2
    done
}

for program in causeway loadtest; do
    [ -x "$BIN/$program" ] || fail "$BIN/$program is missing; run make demo"
done
mkdir -p "$LOGS"

start wan "$BIN/loadtest" wan --config infra/demo/wan.toml
for node in "${NODES[@]}"; do
    start "${node%%:*}" "$BIN/causeway" node --config "infra/demo/${node%%:*}.toml"
done
for at in "${!NODES[@]}"; do
    IFS=: read -r name _ port <<<"${NODES[$at]}"
    await "$name" "http://127.0.0.1:$port" "${started[$((at + 1))]}"
done
# A stranger's program may have answered in the place of one of ours.
PROGRAMS=(wan fra sin syd)
check_alive() {
    local at
    for at in "${!started[@]}"; do
        kill -0 "${started[$at]}" 2>/dev/null && continue
        show_log "${PROGRAMS[$at]}"
        fail "${PROGRAMS[$at]} has ended by itself; is another demo running?"
    done
}
check_alive

IFS=: read -r _ _ door <<<"${NODES[0]}"
echo
echo "Three nodes are up, an ocean apart: Frankfurt-Singapore 80 ms, Singapore-Sydney 46 ms, Frankfurt-Sydney 125 ms."
echo "Open two or more of these links. Each lands on its nearest node; all are in one meeting."
echo
for city in "${CITIES[@]}"; do
    printf '  %-10s http://127.0.0.1:%s/m/%s?pretend=%s\n' "${city%%:*}" "$door" "$ROOM" "${city#*:}"
done
echo
echo "Logs: $LOGS/   Mesh as a node sees it: http://127.0.0.1:$door/api/mesh   Stop: Ctrl-C"

# Until Ctrl-C, or until one of them ends, which is then an error.
wait -n "${started[@]}" || true
check_alive
