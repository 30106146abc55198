# lib.sh - what the story is told with: checks, statements, processes
#
# Every check is a condition that is waited for with a bound, never a sleep;
# every process started is remembered by pid and stopped by pid.

count=${REEVE_DEMO_AGENTS:-2000}
[ "$count" -ge 200 ] || count=200        # a smaller canary would answer too seldom for a gate
root=$top/demo-out
failures=0 checks=0
step=0 story= members=0 sites=0 out=$root
started_at=$(date +%s)
pids=()

bold=$'\033[1m' red=$'\033[31m' green=$'\033[32m' dim=$'\033[2m' plain=$'\033[0m'
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then bold= red= green= dim= plain=; fi

say()  { printf '%s\n' "$*"; }
note() { printf '    %s%s%s\n' "$dim" "$*" "$plain"; }
head_() { printf '\n%s%d. %s%s  %s(%d s)%s\n' "$bold" "$step" "$*" "$plain" "$dim" $(( $(date +%s) - started_at )) "$plain"; }

held() { checks=$((checks + 1)); printf '  %sok%s   %s\n' "$green" "$plain" "$*"; }
missed() { checks=$((checks + 1)); failures=$((failures + 1)); printf '  %sFAIL%s %s\n' "$red" "$plain" "$*"; }

# claim TEXT COMMAND...: the command says whether it held
claim()
{
    local text=$1
    shift
    if "$@" >/dev/null 2>&1; then held "$text"; else missed "$text"; fi
}

# What was sabotaged is not waited for as long as what should come, and hardly at all once that was noticed.
patience()
{
    local most=$1
    if sabotaged; then most=15; [ "$failures" = 0 ] || most=2; fi
    echo $(($1 < most ? $1 : most))
}

# wait_for SECONDS COMMAND...
wait_for()
{
    local limit
    limit=$(( $(date +%s%N) / 1000000 + $(patience "$1") * 1000 ))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $(( $(date +%s%N) / 1000000 )) -lt $limit ] || return 1
        sleep 0.1
    done
}

# within TEXT SECONDS COMMAND...: a claim that may take a while
within()
{
    local text=$1 seconds
    seconds=$(patience "$2")
    shift 2
    if wait_for "$seconds" "$@"; then held "$text"; else missed "$text (not within $seconds s)"; fi
}

die() { printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2; exit 1; }
sabotaged() { [ "$break" = "$step" ]; }

# ---- statements ----

sql()   { PGPASSWORD=${role_password:-$password} reeve -q -p "$sql_port" -h 127.0.0.1 -U "${role:-admin}" "$@"; }
# One value.
ask()   { sql --text -t -c "$1" 2>/dev/null; }
do_sql() { sql -c "$1" >>"$out/sql.log" 2>&1; }
is()    { [ "$(ask "$1")" = "$2" ]; }
# A statement that must be refused with this SQLSTATE.
refused() { local text; text=$(sql -c "$2" 2>&1) && return 1; case $text in *"[$1]"*) return 0 ;; esac; return 1; }
# What fits into 100 columns.
indented() { cut -c1-96 | sed 's/^/    /'; }
show()  { sql -c "$1" 2>&1 | indented; }

# ---- processes ----

# spawn NAME COMMAND...: in the background, log in demo-out/NAME.log; its pid is in pid_NAME
spawn()
{
    local name=$1
    shift
    "$@" >>"$out/$name.log" 2>&1 </dev/null 9>&- &
    pids+=($!)
    echo $! >>"$out/pids"
    printf -v "pid_$name" %s $!
}

# alive PID [PARENT]: one that has ended and waits for a slow parent to ask is not
alive()
{
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=(${stat##*) })
    [ "${stat[0]}" != Z ] && [ "${stat[1]}" = "${2:-${stat[1]}}" ]
}

# What this demo started and still runs.
living() { local p; for p in "${pids[@]}"; do alive "$p" $$ && echo "$p"; done; }

# stop_pid PID...: all are told at once, and waited for
stop_pid()
{
    local p
    kill -TERM "$@" 2>/dev/null
    for p in "$@"; do
        for _ in $(seq 100); do alive "$p" || continue 2; sleep 0.1; done
        kill -KILL "$p" 2>/dev/null
    done
}

# stop_everything PID...: these (agents, fleets, looks), nginx, members
stop_everything()
{
    [ $# = 0 ] || { kill -CONT "$@" 2>/dev/null; stop_pid "$@"; }
    stop_pid $(still_of_demo "$out"/nginx[123]/nginx.pid)
    each_member stop_member
    return 0
}

# Of the processes noted in these files those that are a demo's: a number may have been given to another since.
still_of_demo()
{
    cat "$@" 2>/dev/null | while read -r p; do
        tr '\0' ' ' 2>/dev/null <"/proc/$p/cmdline" | grep -qF "$out/" && echo "$p"
    done
}

# A demo that was left running, whichever story it told.
stop_former()
{
    local story out data members sites nodes former
    for story in ring regions; do
        set_scene "$story"
        former=$(still_of_demo "$out/pids")
        [ -n "$former" ] || [ -n "$(find "$out" -maxdepth 2 -name reeve.pid 2>/dev/null)" ] || continue
        note "stopping the demo that was left running"
        stop_everything $former
    done
}
