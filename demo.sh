#!/bin/bash
# demo.sh - the whole job on one server, on real input, checked step by step
#
#   ./demo.sh             builds, runs the story, leaves the server running
#   ./demo.sh --once      the same, then stops everything; exit 0 only if every step held
#   ./demo.sh --break N   sabotages step N (1..6) on the way; must exit non-zero
#   ./demo.sh --members 3 a ring of three: its leader, then the validator's member are killed in the middle of rollouts
#                         (with --once and --break as well; five steps)
#
# The story: an operator rotates a certificate with a canary, real agents
# verify and install it into real nginx servers, a bad one reverts itself.
# What it leaves lies in demo-out/ (keys, configuration, logs, summary.json).
#
#   REEVE_DEMO_AGENTS=2000     agents in the fleet beside the three real ones
#   REEVE_DEMO_PORT=7432       first of the ports used (SQL; agents +1; peers +2; nginx +10..+12)
set -u
top=$(dirname "$(readlink -f "$0")")
cd "$top" || exit 1
export LC_ALL=C.UTF-8
unset PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE

once=0 break=0 members=1
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=1 ;;
    --break) break=${2:-}; once=1; shift
             case $break in [1-6]) ;; *) echo "demo.sh: --break takes a step, 1 to 6" >&2; exit 2 ;; esac ;;
    --members) members=${2:-}; shift
             case $members in 1|3) ;; *) echo "demo.sh: --members takes 1 or 3" >&2; exit 2 ;; esac ;;
    --help|-h) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done

. tools/demo/lib.sh
. tools/demo/story.sh
if [ "$members" = 3 ]; then
    . tools/demo/ring.sh
    ring_main
fi
demo_main
