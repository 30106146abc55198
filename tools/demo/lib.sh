# lib.sh - what the story is told with: checks, statements, processes
#
# Every check is a condition that is waited for with a bound, never a sleep;
# every process started is remembered by pid and stopped by pid.

count=${REEVE_DEMO_AGENTS:-2000}
[ "$count" -ge 200 ] || count=200        # a smaller canary would answer too seldom for a gate
base_port=${REEVE_DEMO_PORT:-7432}
out=$top/demo-out
data=$out/server
failures=0 checks=0
step=0
started_at=$(date +%s)
pids=()

bold=$'\033[1m' red=$'\033[31m' green=$'\033[32m' dim=$'\033[2m' plain=$'\033[0m'
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then bold= red= green= dim= plain=; fi

say()  { printf '%s\n' "$*"; }
note() { printf '    %s%s%s\n' "$dim" "$*" "$plain"; }
head_() { step=$1; shift; printf '\n%s%d. %s%s  %s(%d s)%s\n' "$bold" "$step" "$*" "$plain" "$dim" $(( $(date +%s) - started_at )) "$plain"; }

held() { checks=$((checks + 1)); printf '  %sok%s   %s\n' "$green" "$plain" "$*"; }
missed() { checks=$((checks + 1)); failures=$((failures + 1)); printf '  %sFAIL%s %s\n' "$red" "$plain" "$*"; }

# claim TEXT COMMAND...: the command says whether it held
claim()
{
    local text=$1
    shift
    if "$@" >/dev/null 2>&1; then held "$text"; else missed "$text"; fi
}

# wait_for SECONDS COMMAND...
wait_for()
{
    local seconds=$1 limit
    # What was sabotaged is not waited for as long as what should come.
    sabotaged && [ "$seconds" -gt 15 ] && seconds=15
    limit=$(( $(date +%s%N) / 1000000 + seconds * 1000 ))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $(( $(date +%s%N) / 1000000 )) -lt $limit ] || return 1
        sleep 0.1
    done
}

# within TEXT SECONDS COMMAND...: a claim that may take a while
within()
{
    local text=$1 seconds=$2
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
show()  { sql -c "$1" 2>&1 | sed 's/^/    /'; }

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

stop_pid()
{
    local p=$1
    kill -TERM "$p" 2>/dev/null || return 0
    for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || return 0; sleep 0.1; done
    kill -KILL "$p" 2>/dev/null
}

pid_of()        # pid_of validator: a child of this demo's postmaster, by its title
{
    local master
    master=$(head -n 1 "$data/reeve.pid")
    ps -o pid=,args= --ppid "$master" | awk -v k="$1" '$0 ~ "reeve[d]?: .*" k || $0 ~ "reeve[d]?: " k { print $1; exit }'
}

stop_everything()
{
    local p
    for p in "${pids[@]:-}"; do [ -n "$p" ] && kill -CONT "$p" 2>/dev/null; done
    for p in "${pids[@]:-}"; do [ -n "$p" ] && stop_pid "$p"; done
    for i in 1 2 3; do [ -f "$out/nginx$i/nginx.pid" ] && stop_pid "$(cat "$out/nginx$i/nginx.pid")"; done
    local d
    for d in "$data" "$out"/server[23]; do [ -f "$d/reeve.pid" ] && reeve-ctl stop -D "$d" -m fast >>"$out/ctl.log" 2>&1; done
    return 0
}

# A demo that was left running makes room for this one.
stop_former()
{
    [ -f "$data/reeve.pid" ] || [ -f "$out/server2/reeve.pid" ] || [ -f "$out/server3/reeve.pid" ] || [ -s "$out/pids" ] || return 0
    note "stopping the demo that was left running"
    [ ! -s "$out/pids" ] || mapfile -t pids <"$out/pids"
    stop_everything
    pids=()
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

pick_ports()
{
    local p
    for p in "$base_port" 17432 27432 37432 47432; do
        [ "$members" = 1 ] || { port_is_free $((p + 20)) && port_is_free $((p + 21)) && port_is_free $((p + 40)) && port_is_free $((p + 41)); } || continue
        port_is_free "$p" && port_is_free $((p + 1)) && port_is_free $((p + 10)) && port_is_free $((p + 11)) && port_is_free $((p + 12)) && { sql_port=$p; break; }
    done
    [ -n "${sql_port:-}" ] || die "no free ports near $base_port"
    agent_port=$((sql_port + 1))
    peer_port=$((sql_port + 2))
}

# ---- what the three nginx serve ----

serial_of()     # serial_of I: the serial a client of nginx I is shown, empty when it does not answer
{
    timeout 5 openssl s_client -connect "127.0.0.1:$((sql_port + 9 + $1))" -servername edge.example </dev/null 2>/dev/null |
        openssl x509 -noout -serial 2>/dev/null | sed 's/serial=//'
}
serves_new()  { local s; s=$(serial_of "$1"); [ -n "$s" ] && [ "$s" != "$2" ]; }
serves_old()  { [ "$(serial_of "$1")" = "$2" ]; }
answers()     { [ -n "$(serial_of "$1")" ]; }

# Looks at all three again and again: nginx, milliseconds before and after the look, serial or -.
watch_serials()
{
    local i from s
    while :; do
        for i in 1 2 3; do
            from=$(date +%s%3N)
            s=$(serial_of "$i")
            echo "$i $from $(date +%s%3N) ${s:--}"
        done
        sleep 0.2
    done
}
# never_before I OLD MS: nginx I showed a new serial, and no look that ended before MS saw it
never_before()
{
    awk -v i="$1" -v old="$2" -v due="$3" '$1 == i && $4 != "-" && $4 != old { seen = 1; if ($3 < due) early = 1 }
        END { exit !(due && seen && !early) }' "$out/serials.log"
}
# old_between I OLD MS MS: a look between the two saw the old one
old_between()
{
    awk -v i="$1" -v old="$2" -v a="$3" -v b="$4" '$1 == i && $4 == old && $2 >= a && $3 <= b { seen = 1 }
        END { exit !(a && b && seen) }' "$out/serials.log"
}
# new_between I OLD MS MS: a look between the two saw a new one
new_between()
{
    awk -v i="$1" -v old="$2" -v a="$3" -v b="$4" '$1 == i && $4 != "-" && $4 != old && $2 >= a && $3 <= b { seen = 1 }
        END { exit !(a && b && seen) }' "$out/serials.log"
}

nginx_config()
{
    local d=$out/nginx$1
    mkdir -p "$d/logs" "$d/tmp"
    cat >"$d/nginx.conf" <<EOC
daemon on;
master_process on;
worker_processes 1;
pid $d/nginx.pid;
error_log $d/logs/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $d/tmp/b; proxy_temp_path $d/tmp/p; fastcgi_temp_path $d/tmp/f;
    uwsgi_temp_path $d/tmp/u; scgi_temp_path $d/tmp/s;
    server {
        listen 127.0.0.1:$((sql_port + 9 + $1)) ssl;
        server_name edge.example;
        ssl_certificate     $out/agent$1/edge-tls/current/cert.pem;
        ssl_certificate_key $out/agent$1/edge-tls/current/key.pem;
        ssl_session_cache off; ssl_session_tickets off;
        location / { return 200 "node $1\n"; }
    }
}
EOC
}
