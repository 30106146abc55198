# members.sh - the server, the members of the ring, or the regions' servers, by number
#
# Member 1 makes the region (its own key, the authorities' and the validator) and lies in demo-out/server; the others lie in
# demo-out/server2 and demo-out/server3; regions, in demo-out/regions, are named. Member n listens 20 * (n - 1) above the ports
# of the first.

# set_scene STORY: where it takes place, how many servers it has, at how many of them agents are
set_scene()
{
    story=$1 out=$root
    case $story in
    server) members=1 sites=1 ;;
    ring) members=3 sites=3 ;;
    regions) members=4 sites=3 out=$root/regions ;;
    esac
    data=$out/server nodes=$((count + 3))
}

region_names=(eu-west us-east ap-south witness)
region_name()   { echo "${region_names[$1 - 1]}"; }
data_of()
{
    if is_federation; then echo "$out/$(region_name "$1")"
    elif [ "$1" = 1 ]; then echo "$data"
    else echo "$out/server$1"; fi
}
port_of()       { echo $((base_port + 20 * ($1 - 1))); }
agent_port_of() { echo $((base_port + 20 * ($1 - 1) + 1)); }
peer_port_of()  { echo $((base_port + 20 * ($1 - 1) + 2)); }
fed_port_of()   { echo $((base_port + 20 * ($1 - 1) + 3)); }
nginx_port_of() { echo $((base_port + 9 + $1)); }
all_members()   { seq "$members"; }
all_sites()     { seq "$sites"; }
is_ring()       { [ "$story" = ring ]; }
is_federation() { [ "$story" = regions ]; }
is_one()        { [ "$story" = server ]; }
# at N COMMAND...: the statements of the command go to member N
at()            { local sql_port; sql_port=$(port_of "$1"); shift; "$@"; }

# The members in the order in which an agent at member N tries them; a region has one.
servers_from()
{
    local i list=
    ! is_federation || { echo "127.0.0.1:$(agent_port_of "$1")"; return; }
    for i in $(all_members); do list=$list,127.0.0.1:$(agent_port_of $((($1 + i - 2) % members + 1))); done
    echo "${list#,}"
}

# ---- ports ----

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

ports_are_free()
{
    local n port
    for n in $(all_members); do
        for port in "$(port_of "$n")" "$(agent_port_of "$n")" "$(peer_port_of "$n")" "$(fed_port_of "$n")"; do port_is_free "$port" || return 1; done
    done
    for n in 1 2 3; do port_is_free "$(nginx_port_of "$n")" || return 1; done
}

pick_ports()
{
    for base_port in "${REEVE_DEMO_PORT:-7432}" 17432 27432 37432 47432; do
        ports_are_free && { sql_port=$base_port; return; }
    done
    die "no free ports near ${REEVE_DEMO_PORT:-7432}"
}

# ---- a region, and its members ----

# Several servers share this machine's cores: one gateway each, and agents that say less often that they are there, lest
# a busy moment be taken for their end.
configure_member()
{
    local heartbeat=5s
    is_one || heartbeat=10s
    cat >>"$(data_of "$1")/reeve.conf" <<EOC
port = $(port_of "$1")
agent_port = $(agent_port_of "$1")
peer_port = $(peer_port_of "$1")
agent_heartbeat_interval = $heartbeat
agent_reconnect_window = 3s
attest_tick_interval = 10s
rollout_report_timeout = 30s
EOC
    is_one || echo "gateways = 1" >>"$(data_of "$1")/reeve.conf"
}

start_member() { reeve-ctl start -D "$(data_of "$1")" >>"$out/ctl.log" 2>&1 9>&-; }

make_password()
{
    password=$(openssl rand -hex 12)
    printf '%s\n' "$password" >"$out/admin.password"
}

make_region()
{
    make_password
    reeve-ctl init -D "$data" --region eu-west --superuser admin --password-file "$out/admin.password" >>"$out/ctl.log" 2>&1
    configure_member 1
    start_member 1
}

join_member()
{
    local token
    token=$(ask "CREATE JOIN_TOKEN WITH (kind = 'member', ttl = '10 min')")
    reeve-ctl join -D "$(data_of "$1")" --ring "127.0.0.1:$(peer_port_of 1)" --token "${token%%|*}" --address "127.0.0.1:$(peer_port_of "$1")" \
        >>"$out/ctl.log" 2>&1 || return 1
    configure_member "$1"
    start_member "$1"
}
make_voter() { do_sql "ALTER RING 'eu-west' ADD MEMBER 'eu-west-$1' ADDRESS '127.0.0.1:$(peer_port_of "$1")'"; }

# each_member COMMAND: for all at once, since a ring's members need each other to come up
each_member()
{
    local n running=()
    for n in $(all_members); do "$1" "$n" & running+=($!); done
    wait "${running[@]}"
}
stop_member() { [ ! -f "$(data_of "$1")/reeve.pid" ] || reeve-ctl stop -D "$(data_of "$1")" -m fast >>"$out/ctl.log" 2>&1; }

# ---- their processes ----

postmaster_of() { head -n 1 "$(data_of "$1")/reeve.pid"; }

pid_of()        # pid_of N validator: a child of member N's postmaster, by its title
{
    ps -o pid=,args= --ppid "$(postmaster_of "$1")" | awk -v k="$2" '$0 ~ "reeve[d]?: .*" k || $0 ~ "reeve[d]?: " k { print $1; exit }'
}

# SIGKILL for all of a member's processes, as when its machine loses power.
kill_member()
{
    local master
    master=$(postmaster_of "$1")
    kill -KILL "$master" $(ps -o pid= --ppid "$master") 2>/dev/null
}

member_figures()
{
    local n masters=
    for n in $(all_members); do masters=$masters,$(postmaster_of "$n"); done
    ps -o pid=,rss=,cputimes=,args= --ppid "${masters#,}" | awk -v agents="$nodes" '/gateway/ { rss += $2; n++ } { cpu += $3 }
        END { printf "%d gateways, %.1f KB resident each agent, %d s of server CPU up to then\n", n, rss / agents, cpu }'
}
