#!/bin/bash
# check.sh - install what is missing, build, run every suite; the last line counts
#
#   ./check.sh            everything: plain build, sanitizers, a fuzz round
#   QUICK=1 ./check.sh    the plain build only
#
# Exits 0 only when tests ran and none failed. The programs lie in build/bin.
set -u
cd "$(dirname "$(readlink -f "$0")")" || exit 1
export LC_ALL=C.UTF-8
unset MAKEFLAGS MAKELEVEL
top=$PWD
jobs=$(nproc)
[ "$jobs" -le 4 ] || jobs=4
at_once=$((jobs + 1))       # of tests: they wait more than they compute; each has ports and folders of its own
REEVE_TAP_SUM=$(mktemp) || exit 1
export REEVE_TAP_SUM
reports=$(mktemp -d) || exit 1
times=
trap 'rm -rf "$REEVE_TAP_SUM" "$reports"' EXIT
quick=${QUICK:-}
fuzz_seconds=${FUZZ_SECONDS:-10}
# Random tests draw from the commit: what failed in a check of it fails in the next one too, and each commit draws anew.
# Open-ended draws are make check-world's.
commit=$(git rev-parse --verify -q HEAD 2>/dev/null) && export REEVE_CHECK_SEED=${REEVE_CHECK_SEED:-$((16#${commit:0:15}))}

say() { printf '== %3d s  %s\n' $SECONDS "$*"; }

finish()
{
    printf 'seconds:%s, all %d\n' "$times" $SECONDS
    sed -n 's/^! /failed: /p' "$REEVE_TAP_SUM" | head -100
    awk '!/^!/ { p += $1; f += $2; s += $3 }
         END { if (s) printf "%d skipped\n", s; printf "%d passed, %d failed\n", p, f; exit !(p > 0 && f == 0) }' "$REEVE_TAP_SUM"
    exit $?
}

# What cannot even start is a failure that the closing line must show.
broken()
{
    echo "FAILED: $*"
    printf '! %s\n0 1 0\n' "$*" >>"$REEVE_TAP_SUM"
}

# build DIR CONFIGURE-ARGUMENTS...: configured again only when the arguments changed
build()
{
    local dir=$1 want
    shift
    want="$* $(cat configure.ac Makefile.am | cksum)"
    mkdir -p "$dir"
    if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$want" ]; then
        (cd "$dir" && ../configure -q "$@") >"$dir/configure.log" 2>&1 || { tail -20 "$dir/configure.log"; return 1; }
        echo "$want" >"$dir/.configured"
    fi
}

# compile DIR GOALS...: one after the other, because `all` is a make of its own
compile()
{
    local dir=$1 goal began=$SECONDS
    shift
    for goal in "$@"; do
        make -s -C "$dir" -j"$jobs" "$goal" >"$dir/make.log" 2>&1 || { tail -40 "$dir/make.log"; return 1; }
    done
    times="$times $dir $((SECONDS - began)),"
}

# suite NAME SECONDS PROVE-ARGUMENTS...
suite()
{
    local name=$1 limit=$2 before began=$SECONDS
    shift 2
    say "$name$which"
    before=$(wc -l <"$REEVE_TAP_SUM")
    timeout -k 10 "$limit" prove --harness TapSum "$@" </dev/null
    # A harness that was stopped or died has counted nothing.
    [ "$(wc -l <"$REEVE_TAP_SUM")" -gt "$before" ] || broken "$name did not finish within $limit s"
    sanitizer_reports "$name"
    times="$times $name$which $((SECONDS - began)),"
}

# What the processes of a server found (backend/utils/sanitize.h) fails the suite that made them find it. That a leak
# check was itself killed half-way is no finding: tests kill servers.
sanitizer_reports()
{
    [ -s "${REEVE_SANITIZER_LOG:-/dev/null}" ] || return 0
    if grep -avE '^==[0-9]+==Unable to get registers from thread [0-9]+\.$' "$REEVE_SANITIZER_LOG" >"$reports/found"; then
        head -c 20000 "$reports/found"
        broken "sanitizers reported during $1"
    fi
    : >"$REEVE_SANITIZER_LOG"
}

# Everything below runs against one build folder.
use_build()
{
    export REEVE_BUILD=$top/$1 REEVE_TOP=$top PERL5LIB=$top/tools/lib:$top/regress/lib
    export PATH=$top/$1/bin:$plain_path
}
plain_path=$PATH
which=

programs()      # unit|scenario SECONDS
{
    local list
    # Only names: a make that finds something to do first says so on its standard output.
    list=$(make -s -C "$REEVE_BUILD" "list-$1" | grep '^regress/') || { broken "list-$1"; return; }
    [ -n "$list" ] || return 0
    cd "$REEVE_BUILD" && CMOCKA_MESSAGE_OUTPUT=TAP suite "$1" "$2" -j "$at_once" --exec '' $list
    cd "$top" || exit 1
}

scripts()       # FOLDER SECONDS
{
    local t=(regress/"$1"/*.t)
    [ -e "${t[0]}" ] || return 0
    suite "$1" "$2" -j "$at_once" "${t[@]}"
}

say "packages"
groups="build run test"
[ -n "$quick" ] || groups="$groups fuzz"
tools/install-packages $groups || { broken "packages"; finish; }

say "build"
if [ ! -x configure ] || [ -n "$(find configure.ac Makefile.am src regress contrib -name configure.ac -newer configure -o -name Makefile.am -newer configure -o -name local.am -newer configure 2>/dev/null)" ]; then
    autoreconf -fi >autoreconf.log 2>&1 || { cat autoreconf.log; broken "autoreconf"; finish; }
    rm -f autoreconf.log
    touch configure
fi
if build build --enable-werror && compile build all check-programs; then
    use_build build
    programs unit 600
    programs scenario 300
    scripts sim 300
    scripts sql 600
    scripts cluster 1200
    scripts interop 300
    suite check-house 120 --exec perl tools/check-house :: "$REEVE_BUILD" "$(sed -n 's/^CC = //p' build/Makefile)"
else
    broken "build"
    finish
fi
[ -z "$quick" ] || finish

say "build with ASan and UBSan"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
if build build-asan --enable-werror --enable-sanitize CFLAGS='-O1 -g' && compile build-asan all check-programs; then
    use_build build-asan
    which=.asan
    export REEVE_SANITIZER_LOG=$reports/server
    programs unit 900
    programs scenario 300
    scripts sql 900
    scripts cluster 3000
    scripts interop 600
    unset REEVE_SANITIZER_LOG
    which=
else
    broken "build with sanitizers"
fi

say "build of the fuzz targets"
if build build-fuzz --enable-fuzz CC=clang CFLAGS='-O1 -g' && compile build-fuzz fuzz-programs; then
    suite fuzz 600 --exec bash tools/fuzz-round :: build-fuzz "$fuzz_seconds"
else
    broken "build of the fuzz targets"
fi
finish
