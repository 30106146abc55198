#!/bin/bash
# demo.sh - the whole job on a ring of three, on real input, checked step by step
#
#   ./demo.sh             builds, runs the story, leaves the ring running
#   ./demo.sh --once      the same, then stops everything; exit 0 only if every step held
#   ./demo.sh --stop      stops what was left running
#   ./demo.sh --members 1 the story on one server: without the members that die; the quickest
#   ./demo.sh --break N   sabotages step N on the way (1..9; with --members 1: 1..6); must exit non-zero
#
# The story: an operator rotates a certificate with a canary, real agents
# verify and install it into real nginx servers, a bad one reverts itself. In
# the middle of one rotation the leader is killed, of another the validator's member.
# What it leaves lies in demo-out/ (keys, configuration, logs, summary.json).
#
#   REEVE_DEMO_AGENTS=2000     agents in the fleet beside the three real ones
#   REEVE_DEMO_PORT=7432       first of the ports used (SQL; agents +1; peers +2; nginx +10..+12; members +20, +40)
set -u
top=$(dirname "$(readlink -f "$0")")
cd "$top" || exit 1
export LC_ALL=C.UTF-8
unset PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE

once=0 stop=0 break= members=3
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=1 ;;
    --stop) stop=1 ;;
    --break) break=${2:-none}; once=1; shift ;;
    --members) members=${2:-}; shift
             case $members in 1|3) ;; *) echo "demo.sh: --members takes 1 or 3" >&2; exit 2 ;; esac ;;
    --help|-h) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done

. tools/demo/lib.sh
. tools/demo/members.sh
. tools/demo/edge.sh
. tools/demo/story.sh
. tools/demo/ring.sh
[ -z "$break" ] || [ "$(seq ${#steps[@]} | grep -cx -- "$break")" = 1 ] || { echo "demo.sh: --break takes a step, 1 to ${#steps[@]}" >&2; exit 2; }
demo_main
