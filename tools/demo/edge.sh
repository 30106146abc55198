# edge.sh - what stands at the edge: three nginx, the agent that feeds each, and fleets of agents

# ---- what the three nginx serve ----

shown_by()      # shown_by I: the certificate that a client of nginx I is shown, empty when it does not answer
{
    timeout 5 openssl s_client -connect "127.0.0.1:$(nginx_port_of "$1")" -servername edge.example </dev/null 2>/dev/null |
        sed -n '/^-----BEGIN CERT/,/^-----END CERT/p'
}
serial_in()   { local s; s=$(openssl x509 -noout -serial 2>/dev/null) && echo "${s#serial=}"; }
serial_of()   { shown_by "$1" | serial_in; }
serves_new()  { local s; s=$(serial_of "$1"); [ -n "$s" ] && [ "$s" != "$2" ]; }
serves_old()  { [ "$(serial_of "$1")" = "$2" ]; }
answers()     { [ -n "$(serial_of "$1")" ]; }
# What they serve now is what the next one is compared with.
old_serial()   { local known=serial$1; echo "${!known}"; }
note_serials() { local i; for i in 1 2 3; do printf -v "serial$i" %s "$(serial_of "$i")"; done; }

# Looks at one again and again while the demo runs: nginx, milliseconds before and after the look, serial or -. A look has
# to fall between two waves on a busy machine as well, so the serial is taken out only when another certificate is shown.
watch_serials()
{
    local from to shown serial=- last=
    while kill -0 $$; do
        from=${EPOCHREALTIME/[.,]/}
        shown=$(shown_by "$1")
        to=${EPOCHREALTIME/[.,]/}
        [ "$shown" = "$last" ] || serial=$(serial_in <<<"$shown")
        last=$shown
        echo "$1 $((from / 1000)) $((to / 1000)) ${serial:--}" >>"$out/serials.log"
        sleep 0.1
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
        listen 127.0.0.1:$(nginx_port_of "$1") ssl;
        server_name edge.example;
        ssl_certificate     $out/agent$1/edge-tls/current/cert.pem;
        ssl_certificate_key $out/agent$1/edge-tls/current/key.pem;
        ssl_session_cache off; ssl_session_tickets off;
        location / { return 200 "node $1\n"; }
    }
}
EOC
}

# ---- agents and fleets ----

# In a federation each region has a certificate and a token of its own.
cert_of()  { if is_federation; then echo "edge-$(region_name "$1")"; else echo edge-tls; fi; }
token_of() { if is_federation; then echo "$out/token$1"; else echo "$out/token"; fi; }

# Draw identities until this one's cohort lies in [low, high) of 2^53 for edge-tls.
draw_identity()
{
    local i=$1 low=$2 high=$3 share
    mkdir -p "$out/agent$i"
    for _ in $(seq 400); do
        rm -rf "$out/agent$i/state"
        printf -v "node$i" %s "$(reeve-agent key --state "$out/agent$i/state" 2>>"$out/agent$i.log")"
        share=$(reeve-agent cohort edge-tls --state "$out/agent$i/state" 2>>"$out/agent$i.log" | awk '{ print $1 / 9007199254740992 }')
        awk -v s="$share" -v l="$low" -v h="$high" 'BEGIN { exit !(s >= l && s < h) }' && { printf -v "share$i" %s "$share"; return 0; }
    done
    return 1
}

agent_config()
{
    local i=$1 d=$out/agent$1
    cat >"$d/agent.conf" <<EOC
state = $d/state
server = $(servers_from $(((i - 1) % sites + 1)))
token_file = $(token_of "$i")
config_json = $d/config.json
label = tier=edge
tick_interval = 10s

[cert $(cert_of "$i")]
directory = $d/edge-tls
reload = sh $d/reload.sh
timeout = 10s
probe = 127.0.0.1:$(nginx_port_of "$i")
EOC
    # The first certificate comes before nginx runs: there is nothing to reload then.
    cat >"$d/reload.sh" <<EOC
if [ -e "$d/refuse-reload" ]; then
    case \$(readlink "$d/edge-tls/current") in gen-3-*) echo "nginx: this one is not for me" >&2; exit 1 ;; esac
fi
if [ -e "$out/nginx$i/nginx.pid" ]; then nginx -p "$out/nginx$i" -c "$out/nginx$i/nginx.conf" -s reload
else nginx -p "$out/nginx$i" -c "$out/nginx$i/nginx.conf"; fi
EOC
}

start_agent() { spawn "agent$1" reeve-agent run --config "$out/agent$1/agent.conf"; }

stop_agents() { stop_pid "$pid_agent1" "$pid_agent2" "$pid_agent3"; }
agent_says()  { reeve-agent status --state "$out/agent$1/state" | python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
all_agents_say() { local i; for i in 1 2 3; do reeve-agent status --state "$out/agent$i/state" 2>/dev/null | grep -q "\"$1\"" || return 1; done; }

# start_fleet NAME SERVERS AGENTS TOKEN-FILE SHARE: the share of them fails to install generation 3. To several servers, which
# have no more cores here than one, they come as those can take them.
start_fleet()
{
    local ramp=0
    is_one || ramp=$(($3 * sites / 400))
    mkdir -p "$out/$1"
    spawn "$1" reeve-bench fleet --server "$2" --count "$3" --token-file "$4" --state "$out/$1" --status "$out/$1.json" \
        --ramp "$ramp" --fail-share "$5" --fail-cert edge-tls --fail-generation 3 --json
}
# start_fleets SHARE: one at each site, together as many as were asked for
start_fleets()
{
    local n
    for n in $(all_sites); do start_fleet "fleet$n" "$(servers_from "$n")" "$(fleet_size "$n")" "$(token_of "$n")" "$1"; done
}
fleet_size()  { echo $(((count + sites - $1) / sites)); }
stop_fleets() { local n pid; for n in $(all_sites); do pid=pid_fleet$n; stop_pid "${!pid}"; done; }

# fleet_says EXPRESSION: over d, what the fleets (those in $fleets, or one at each site) say of themselves, taken together
fleet_says()
{
    local names=${fleets:-$(all_sites | sed 's/^/fleet/')}
    python3 - "$1" $(printf "$out/%s.json " $names) 2>/dev/null <<'EOP'
import collections, json, sys
fleets = [json.load(open(name)) for name in sys.argv[2:]]
d = {key: sum(f[key] for f in fleets) for key in ("agents", "connected", "verified")}
d["verified_min"] = min(f["verified_min"] for f in fleets)
d["all_connected_s"] = max(f["all_connected_s"] for f in fleets)
d["agents_per_s"] = d["agents"] / d["all_connected_s"] if d["all_connected_s"] > 0 else 0.0
d["refusals"] = dict(sum((collections.Counter(f["refusals"]) for f in fleets), collections.Counter()))
d["serving"] = collections.Counter()
for f in fleets:
    for g in f["generations"]:
        d["serving"][g["generation"]] += g["agents"]
print(eval(sys.argv[1], {"d": d, "json": json}))
EOP
}
fleet_is()    { [ "$(fleet_says "$1")" = True ]; }
all_serve()   { fleet_is "d['serving'][$1] == d['agents'] == $count"; }
