# ring.sh - the story of ./demo.sh --members 3: a ring whose members die in the middle of rollouts
#
# The members are $out/server (where the region is made: its own key, the authorities' and the validator), $out/server2 and
# $out/server3. Member n listens 20 * (n - 1) above the ports of the first.

ring_main()
{
    total=$((count / 3 * 3))
    say "${bold}Reeve: a ring of three, three nginx, $total more agents at all of them${plain}"
    tools/install-packages build run || die "packages could not be installed"
    build_it
    mkdir -p "$out" || die "cannot write $out"
    exec 9>"$out/.lock" && flock -n 9 || die "another demo runs in $out"
    export PATH=$top/build/bin:/usr/sbin:$PATH
    stop_former
    rm -rf "${out:?}"/* || die "cannot empty $out"
    umask 077
    pick_ports
    trap 'stop_everything' EXIT
    trap 'exit 130' INT TERM
    local n
    for n in 1 2 3 4 5; do
        "ring_step_$n"
        [ "$break" = "$n" ] && [ "$failures" -gt 0 ] && break
    done
    finish
}

# ---- members ----

data_of() { if [ "$1" = 1 ]; then echo "$data"; else echo "$out/server$1"; fi; }
port_of() { echo $((sql_port + 20 * ($1 - 1))); }
# Agents try the members in this order.
servers() { local n list=; for n in "$@"; do list=$list,127.0.0.1:$(($(port_of "$n") + 1)); done; echo "${list#,}"; }
# at N COMMAND...: the statements of the command go to member N
at() { local p; p=$(port_of "$1"); shift; sql_port=$p "$@"; }
leader_is() { is "SELECT member FROM sys.ring_members WHERE role = 'leader'" "eu-west-$1"; }

ring_conf()
{
    cat >>"$1/reeve.conf" <<EOC
port = $2
agent_port = $(($2 + 1))
peer_port = $(($2 + 2))
gateways = 1
agent_heartbeat_interval = 2s
agent_reconnect_window = 2s
attest_tick_interval = 5s
rollout_report_timeout = 30s
EOC
}

join_member()   # join_member N
{
    local token d
    d=$(data_of "$1")
    token=$(ask "CREATE JOIN_TOKEN WITH (kind = 'member', ttl = '10 min')")
    reeve-ctl join -D "$d" --ring "127.0.0.1:$peer_port" --token "${token%%|*}" --address "127.0.0.1:$(($(port_of "$1") + 2))" >>"$out/ctl.log" 2>&1 || return 1
    ring_conf "$d" "$(port_of "$1")"
    reeve-ctl start -D "$d" >>"$out/ctl.log" 2>&1 9>&-
}
may_vote() { do_sql "ALTER RING 'eu-west' ADD MEMBER 'eu-west-$1' ADDRESS '127.0.0.1:$(($(port_of "$1") + 2))'"; }

# SIGKILL for all of a member's processes, as when its machine loses power.
kill_member()
{
    local master
    master=$(head -n 1 "$(data_of "$1")/reeve.pid")
    kill -KILL "$master" $(ps -o pid= --ppid "$master") 2>/dev/null
}

ring_step_1()
{
    local n
    head_ 1 "Three members: one makes the region, two join it by a token"
    password=$(openssl rand -hex 12)
    printf '%s\n' "$password" >"$out/admin.password"
    reeve-ctl init -D "$data" --region eu-west --superuser admin --password-file "$out/admin.password" >>"$out/ctl.log" 2>&1
    ring_conf "$data" "$sql_port"
    reeve-ctl start -D "$data" >>"$out/ctl.log" 2>&1 9>&-
    claim "the first member answers" is "SELECT 1" 1
    do_sql "CREATE ROLE operator LOGIN PASSWORD '$password' IN ROLE sys_operator"
    do_sql "CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')"
    do_sql "CREATE CERT 'edge-tls' FROM AUTHORITY edge_ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days' RENEW BEFORE '30 days'"
    for n in 2 3; do
        claim "member $n was let in, and has the state" join_member "$n"
        sabotaged && [ "$n" = 3 ] && kill_member 3
        within "member $n votes" 30 may_vote "$n"
    done
    within "all three are linked" 30 is "SELECT count(*) FROM sys.ring_members WHERE linked" 3
    within "each has its own signing key, attested" 30 is "SELECT count(distinct signing_key) FROM sys.ring_members" 3
    within "and its own intermediate under the authority" 30 is "SELECT sum(intermediates) FROM sys.ring_members" 2
    claim "what one member acknowledged another shows" at 3 is "SELECT count(*) FROM sys.certs WHERE name = 'edge-tls'" 1
    sql --text -t -c "CREATE JOIN_TOKEN WITH (uses = $((count + 100)), ttl = '1 day')" 2>>"$out/sql.log" | cut -d'|' -f1 >"$out/token"
    show "SELECT member, role, match_index, intermediates, left(signing_key, 16) AS signing_key FROM sys.ring_members"
}

# ---- agents at every member ----

ring_fleet()    # ring_fleet N: a third of the fleet, at member N first
{
    mkdir -p "$out/fleet-$1"
    spawn "fleet$1" reeve-bench fleet --server "$(servers "$1" $(($1 % 3 + 1)) $((($1 + 1) % 3 + 1)))" --token-file "$out/token" \
        --count $((count / 3)) --state "$out/fleet-$1" --status "$out/fleet$1.json" --json
}
fleets_are() { local n; for n in 1 2 3; do python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2], {"d": d}))' "$out/fleet$n.json" "$1" 2>/dev/null || return 1; done; }
all_serve() { fleets_are "sum(g['agents'] for g in d['generations'] if g['generation'] == $1) == d['agents'] == $((count / 3))"; }

ring_step_2()
{
    local i
    head_ 2 "Three agents with a real nginx each, one at each member; $total more in fleets at all of them"
    draw_identity 1 0 0.05 && draw_identity 2 0.06 0.24 && draw_identity 3 0.26 1 || die "no identities drawn"
    for i in 1 2 3; do
        nginx_config "$i"
        agent_config "$i"
        sed -i "s/^server = .*/server = $(servers "$i" $((i % 3 + 1)) $(((i + 1) % 3 + 1)))/" "$out/agent$i/agent.conf"
        start_agent "$i"
        ring_fleet "$i"
    done
    sabotaged && stop_pid "$pid_agent2"
    for i in 1 2 3; do within "nginx $i serves a certificate that its agent got from member $i" 60 answers "$i"; done
    for i in 1 2 3; do printf -v "serial$i" %s "$(serial_of "$i")"; done
    claim "agent 2's certificate is under member 2's intermediate" grep -q "intermediate of member 2" <(openssl x509 -noout -issuer -in "$out/agent2/edge-tls/current/cert.pem" 2>/dev/null)
    within "all $((total + 3)) nodes are enrolled" 120 is "SELECT count(*) FROM sys.nodes" $((total + 3))
    within "every fleet member serves generation 1" 120 all_serve 1
    within "and all are live, wherever they are connected" 30 at 2 is "SELECT count(*) FROM sys.nodes WHERE state = 'live'" $((total + 3))
}

# ---- the leader dies ----

opened_once() { is "SELECT count(*) = count(distinct wave) AND count(*) = 3 FROM sys.rollout_waves WHERE rollout_id = $1 AND started IS NOT NULL" t; }
done_all()    { is "SELECT done = targets AND failed = 0 FROM sys.rollouts WHERE rollout_id = $1" t; }
# Versions of the rollout's object in the log: dense, so no step was lost, and each state was entered once.
steps_dense() { is "SELECT count(*) = count(distinct seq) AND count(*) = max(seq) - min(seq) + 1 FROM sys.rollout_events WHERE rollout_id = $1" t; }

ring_step_3()
{
    local id i
    head_ 3 "A rotation, and in the middle of it SIGKILL for the leader, which is not where the validator is"
    wait_for 10 leader_is 2 || do_sql "ALTER RING 'eu-west' TRANSFER LEADER TO 'eu-west-2'" || at 3 do_sql "ALTER RING 'eu-west' TRANSFER LEADER TO 'eu-west-2'"
    within "member 2 leads" 30 leader_is 2
    role=operator do_sql "ROTATE CERT 'edge-tls' CANARY 5% FOR '4 s' THEN 25% FOR '3 s', 100% REASON 'a leader dies'"
    id=$(newest_rollout)
    within "the canary is out and bakes" 60 opened "$id" 1
    kill_member 2
    sabotaged && kill_member 3
    note "member 2 is dead; the rollout: $(at 1 ask "SELECT state FROM sys.rollouts WHERE rollout_id = $id")"
    within "another member leads" 30 is "SELECT count(*) FROM sys.ring_members WHERE role = 'leader' AND member <> 'eu-west-2'" 1
    claim "nginx 2, whose agent was there, serves all the time" answers 2
    within "the rollout succeeds" 120 rollout_is "$id" succeeded
    claim "every wave was opened once" opened_once "$id"
    claim "no step was lost or made twice" steps_dense "$id"
    within "every node is done, none failed" 60 done_all "$id"
    within "every fleet member serves generation 2" 60 all_serve 2
    for i in 1 2 3; do within "nginx $i shows a new serial" 30 serves_new "$i" "$(eval echo "\$serial$i")"; done
    reeve-ctl start -D "$(data_of 2)" >>"$out/ctl.log" 2>&1 9>&-
    within "member 2 comes back and knows how it ended" 60 at 2 rollout_is "$id" succeeded
    for i in 1 2 3; do printf -v "serial$i" %s "$(serial_of "$i")"; done
    show "SELECT wave, nodes_total, nodes_done, nodes_failed, started, state FROM sys.rollout_waves WHERE rollout_id = $id"
}

# ---- the keys are away ----

held_for()  # held_for SECONDS ROLLOUT: it stays where it is
{
    local until_s=$(( $(date +%s) + $1 ))
    while [ "$(date +%s)" -lt "$until_s" ]; do
        at 3 is "SELECT state FROM sys.rollouts WHERE rollout_id = $2" baking || return 1
        sleep 0.5
    done
}

ring_step_4()
{
    local id i n
    head_ 4 "Another one, and SIGKILL for the member with the validator: the rollout holds, agents keep serving"
    role=operator do_sql "ROTATE CERT 'edge-tls' CANARY 5% FOR '4 s' THEN 100% REASON 'the validator dies'"
    id=$(newest_rollout)
    within "the canary is out and bakes" 60 rollout_is "$id" baking
    sabotaged || kill_member 1
    within "the others have a leader" 30 at 3 is "SELECT count(*) FROM sys.ring_members WHERE role = 'leader' AND member <> 'eu-west-1'" 1
    claim "the rollout holds, long after its bake time" held_for 8 "$id"
    for i in 1 2 3; do claim "nginx $i goes on serving" answers "$i"; done
    within "all agents are connected to the two that are left" 60 fleets_are "d['connected'] == $((count / 3))"
    claim "ordinary data is written" at 3 do_sql "SET CONFIG 'http/max' = 50 IMMEDIATE"
    within "and reaches the agents" 60 config_is 50
    at 2 sql --text -t -c "CREATE JOIN_TOKEN WITH (uses = 10)" 2>>"$out/sql.log" | cut -d'|' -f1 >"$out/token2"
    spawn fleet4 reeve-bench fleet --server "$(servers 2 3)" --token-file "$out/token2" --count 10 --state "$out" --status "$out/fleet4.json" --json
    within "ten new nodes enrol and get their certificates: issuing goes on" 60 new_nodes_serve
    reeve-ctl start -D "$data" >>"$out/ctl.log" 2>&1 9>&-
    within "back again, the rollout goes on by itself and succeeds" 120 rollout_is "$id" succeeded
    claim "no step was lost or made twice" steps_dense "$id"
    within "every fleet member serves generation 3" 60 all_serve 3
    for i in 1 2 3; do within "nginx $i shows a new serial" 30 serves_new "$i" "$(eval echo "\$serial$i")"; done
    within "nobody is lost" 60 is "SELECT count(*) FROM sys.nodes WHERE state <> 'live'" 0
}

config_is() { local i; for i in 1 2 3; do [ "$(reeve-agent get http/max --state "$out/agent$i/state" 2>/dev/null)" = "$1" ] || return 1; done; }
new_nodes_serve() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); sys.exit(sum(g["agents"] for g in d["generations"] if g["generation"] >= 2) != 10)' "$out/fleet4.json" 2>/dev/null; }

ring_step_5()
{
    head_ 5 "What happened"
    sql --json -c "SELECT version, log, at, actor, action, object_kind, object, statement, reason, leaf_hash FROM sys.history" >"$out/history.json" 2>>"$out/sql.log"
    printf '{"members": 3, "agents": %d, "checks": %d, "failures": %d}\n' $((total + 13)) "$checks" "$failures" >"$out/summary.json"
    sabotaged && rm -f "$out/summary.json" "$out/history.json"
    claim "the history is exported: demo-out/history.json" grep -q '"object": "edge-tls"' "$out/history.json"
    claim "a summary is written: demo-out/summary.json" test -s "$out/summary.json"
    show "SELECT rollout_id, object, state, wave, waves, targets, done, failed, reason FROM sys.rollouts"
    show "SELECT member, role, match_index, intermediates FROM sys.ring_members"
}
