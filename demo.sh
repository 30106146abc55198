#!/bin/bash
# demo.sh - the whole job on a ring of three, then in three regions, on real input, checked step by step
#
#   ./demo.sh             builds, tells both stories, leaves the three regions running
#   ./demo.sh --once      the same, then stops everything; exit 0 only if every step held
#   ./demo.sh --stop      stops what was left running
#   ./demo.sh --members 3 the first story alone, and leaves its ring running
#   ./demo.sh --members 1 the same on one server: without the members that die; the quickest
#   ./demo.sh --regions   the second story alone
#   ./demo.sh --break N   sabotages step N on the way (1..15; one story alone: its own numbers); must exit non-zero
#
# The first story: an operator rotates a certificate with a canary, real agents
# verify and install it into real nginx servers, a bad one reverts itself. In
# the middle of one rotation the leader is killed, of another the validator's member.
# The second: three regions and four validators with one chain; one validator is
# killed, one contradicts itself, two are away; an export with a byte changed is refused.
# What they leave lies in demo-out/ (exports for auditors, keys, configuration, logs, summary.json).
#
#   REEVE_DEMO_AGENTS=2000     agents in the fleet beside the three real ones
#   REEVE_DEMO_PORT=7432       first of the ports used (SQL; agents +1; peers +2; regions +3; nginx +10..+12; members +20 ... +60)
set -u
top=$(dirname "$(readlink -f "$0")")
cd "$top" || exit 1
export LC_ALL=C.UTF-8
unset PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE

once=0 stop=0 break= stories=(ring regions)
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=1 ;;
    --stop) stop=1 ;;
    --break) break=${2:-none}; once=1; shift ;;
    --members) case ${2:-} in
             1) stories=(server) ;;
             3) stories=(ring) ;;
             *) echo "demo.sh: --members takes 1 or 3" >&2; exit 2 ;;
             esac
             shift ;;
    --regions) stories=(regions) ;;
    --help|-h) sed -n '2,23s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done

. tools/demo/lib.sh
. tools/demo/members.sh
. tools/demo/edge.sh
. tools/demo/story.sh
. tools/demo/ring.sh
. tools/demo/regions.sh
last=$(all_steps | wc -l)
[ -z "$break" ] || [ "$(seq "$last" | grep -cx -- "$break")" = 1 ] || { echo "demo.sh: --break takes a step, 1 to $last" >&2; exit 2; }
demo_main
