#!/bin/sh
# Chromium behind everything else on the machine: a machine for tests has few cores, and the nodes would have their own.
# The browser leads a session of its own, and where sessions are scheduled as groups (sched_autogroup) niceness counts
# only among the processes of one: the session as a whole has to step back too. Without it six browsers got six shares
# of the processors, nodes and emulator together one, and links between nodes fell silent.
if [ -w /proc/self/autogroup ]; then
  echo 15 > /proc/self/autogroup
fi
if [ -n "${NAMESPACE:-}" ]; then
  exec nice -n 15 ip netns exec "$NAMESPACE" "$CHROMIUM" "$@"
fi
exec nice -n 15 "$CHROMIUM" "$@"
