# story.sh - the six steps of the demo, in order; each checks what it claims

demo_main()
{
    say "${bold}Reeve: one server, three nginx, $count more agents, one certificate${plain}"
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
    for n in 1 2 3 4 5 6; do
        "step_$n"
        # A sabotaged step that was noticed has shown what it had to show.
        [ "$break" = "$n" ] && [ "$failures" -gt 0 ] && break
    done
    finish
}

build_it()
{
    if [ ! -x build/bin/reeved ] || [ -n "$(find src configure.ac Makefile.am -newer build/bin/reeved -print -quit 2>/dev/null)" ]; then
        note "building (a minute or two the first time)"
        [ -x configure ] && [ configure -nt configure.ac ] || autoreconf -fi >/dev/null 2>&1 || die "autoreconf failed"
        mkdir -p build
        { [ -f build/Makefile ] || (cd build && ../configure -q --enable-werror); } >build/demo-build.log 2>&1 &&
            make -s -C build -j"$(nproc)" >>build/demo-build.log 2>&1 || { tail -20 build/demo-build.log; die "the build failed"; }
    fi
}

# ---- 1: a server and its objects, all by statements ----

step_1()
{
    head_ 1 "A server, and everything on it by statements over the PostgreSQL protocol"
    password=$(openssl rand -hex 12)
    printf '%s\n' "$password" >"$out/admin.password"
    reeve-ctl init -D "$data" --region eu-west --superuser admin --password-file "$out/admin.password" >>"$out/ctl.log" 2>&1
    cat >>"$data/reeve.conf" <<EOC
port = $sql_port
agent_port = $agent_port
peer_port = $peer_port
agent_heartbeat_interval = 5s
agent_reconnect_window = 3s
attest_tick_interval = 10s
rollout_report_timeout = 30s
EOC
    reeve-ctl start -D "$data" >>"$out/ctl.log" 2>&1 9>&-
    claim "reeve-ctl start returned with the server answering" is "SELECT 1" 1
    do_sql "CREATE ROLE operator LOGIN PASSWORD '$password' IN ROLE sys_operator"
    do_sql "CREATE ROLE auditor LOGIN PASSWORD '$password' IN ROLE sys_auditor"
    do_sql "CREATE ROLE reader LOGIN PASSWORD '$password' IN ROLE sys_read_all"
    do_sql "CREATE AUTHORITY edge_ca WITH (key_type = 'ecdsa-p256', ttl = '2 years')"
    do_sql "CREATE STRATEGY careful AS CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100% ROLLBACK IF failed > 10% SAMPLE 20"
    do_sql "CREATE CERT 'edge-tls' FROM AUTHORITY edge_ca SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days' RENEW BEFORE '30 days' USING STRATEGY careful"
    sql --text -t -c "CREATE JOIN_TOKEN WITH (uses = $((count + 100)), ttl = '1 day')" 2>>"$out/sql.log" | cut -d'|' -f1 >"$out/token"
    sabotaged && do_sql "DROP CERT 'edge-tls'"
    claim "three roles stand" is "SELECT count(*) FROM sys.roles WHERE name IN ('operator','auditor','reader')" 3
    claim "authority edge_ca is active, attested" is "SELECT state FROM sys.authorities WHERE name = 'edge_ca'" active
    claim "certificate edge-tls has generation 1" is "SELECT generation FROM sys.certs WHERE name = 'edge-tls'" 1
    claim "a strategy and a join token stand" is "SELECT (SELECT count(*) FROM sys.strategies WHERE name = 'careful') + (SELECT count(*) FROM sys.join_tokens)" 2
    role=reader claim "a reader may look" is "SELECT count(*) FROM sys.certs" 1
    role=reader claim "a reader may not rotate (42501)" refused 42501 "ROTATE CERT 'edge-tls' IMMEDIATE"
    claim "a slip of the finger is answered with a position and a hint" refused 42601 "ROTAT CERT 'edge-tls'"
    show "SELECT name, authority, generation, state, mode, not_after FROM sys.certs"
}

# ---- 2: real agents, real nginx, and a fleet ----

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
server = 127.0.0.1:$agent_port
token_file = $out/token
config_json = $d/config.json
label = tier=edge
tick_interval = 10s

[cert edge-tls]
directory = $d/edge-tls
reload = sh $d/reload.sh
timeout = 10s
probe = 127.0.0.1:$((sql_port + 9 + i))
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

start_fleet()
{
    spawn fleet reeve-bench fleet --server "127.0.0.1:$agent_port" --token-file "$out/token" --count "$count" \
        --state "$out" --status "$out/fleet.json" --fail-share "$1" --fail-cert edge-tls --fail-generation 3 --json
}

fleet_says() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2], {"d": d}))' "$out/fleet.json" "$1" 2>/dev/null; }
fleet_is()   { [ "$(fleet_says "$1")" = True ]; }

step_2()
{
    local i
    head_ 2 "Three agents with a real nginx each, their cohorts in three waves; $count more in a fleet"
    draw_identity 1 0 0.05 && draw_identity 2 0.06 0.24 && draw_identity 3 0.26 1 || die "no identities drawn"
    held "cohorts drawn: $share1 (canary), $share2 (second wave), $share3 (last wave)"
    for i in 1 2 3; do nginx_config "$i"; agent_config "$i"; start_agent "$i"; done
    start_fleet 0.4
    sabotaged && stop_pid "$pid_agent2"
    for i in 1 2 3; do within "nginx $i serves a certificate that its agent verified and installed" 30 answers "$i"; done
    for i in 1 2 3; do printf -v "serial$i" %s "$(serial_of "$i")"; done
    within "all $((count + 3)) nodes are enrolled" 120 is "SELECT count(*) FROM sys.nodes" $((count + 3))
    within "every fleet member serves generation 1" 120 fleet_is "sum(g['agents'] for g in d['generations'] if g['generation'] == 1) == d['agents']"
    claim "every fleet member verified finalizations itself" fleet_is "d['verified_min'] > 0 and d['refusals'] == {}"
    within "the server has heard of all generations" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls'" $((count + 3))
    note "$(fleet_says "'%d agents connected, enrolled and registered in %.1f s: %.0f a second; %d finalizations verified so far' % (d['agents'], d['all_connected_s'], d['agents_per_s'], d['verified'])")"
}

# ---- 3: a rotation, wave by wave ----

rollout_state() { ask "SELECT state FROM sys.rollouts WHERE rollout_id = $1"; }
rollout_is()    { [ "$(rollout_state "$1")" = "$2" ]; }
opened()        { [ "$(ask "SELECT wave FROM sys.rollouts WHERE rollout_id = $1")" -ge "$2" ]; }
wave_ms()       { local at; at=$(ask "SELECT started FROM sys.rollout_waves WHERE rollout_id = $1 AND wave = $2"); [ -z "$at" ] || date -d "$at" +%s%3N; }
newest_rollout() { ask "SELECT max(rollout_id) FROM sys.rollouts"; }

step_3()
{
    local id i old1=$serial1 old2=$serial2 old3=$serial3 wave1 wave2 wave3
    head_ 3 "ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100%"
    sql -c "EXPLAIN ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100%" 2>&1 | cut -c1-110 | sed 's/^/    /'
    : >"$out/serials.log"
    spawn serials watch_serials
    role=operator spawn shell script_shell "ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100% REASON 'yearly'"
    wait_for 10 newest_is_running
    id=$(newest_rollout)
    sabotaged && do_sql "PAUSE ROLLOUT $id"
    within "wave 1 opens" 60 opened "$id" 1
    within "nginx 1, in the canary, shows a new serial" 30 serves_new 1 "$old1"
    within "wave 2 opens" 60 opened "$id" 2
    claim "not before the 3 s of baking were over" is "SELECT (SELECT started FROM sys.rollout_waves WHERE rollout_id = $id AND wave = 2) - (SELECT started FROM sys.rollout_waves WHERE rollout_id = $id AND wave = 1) >= INTERVAL '3 s'" t
    within "nginx 2 shows a new serial" 30 serves_new 2 "$old2"
    within "wave 3 opens" 60 opened "$id" 3
    within "nginx 3 shows a new serial" 30 serves_new 3 "$old3"
    wait_for 5 serials_new "$old1" "$old2" "$old3"
    stop_pid "$pid_serials"
    for i in 1 2 3; do printf -v "wave$i" %s "$(wave_ms "$id" "$i")"; done
    claim "nginx 1 showed it when wave 1 was open, never before" never_before 1 "$old1" "$wave1"
    claim "and before wave 2 was" new_between 1 "$old1" "$wave1" "$wave2"
    claim "nginx 2, not due with wave 1, showed the old one" old_between 2 "$old2" "$wave1" "$wave2"
    claim "and the new one never before wave 2 was open" never_before 2 "$old2" "$wave2"
    claim "but before wave 3 was" new_between 2 "$old2" "$wave2" "$wave3"
    claim "nginx 3, not due with wave 2, showed the old one" old_between 3 "$old3" "$wave2" "$wave3"
    claim "and the new one never before wave 3 was open" never_before 3 "$old3" "$wave3"
    within "the rollout succeeded" 60 rollout_is "$id" succeeded
    for i in 1 2 3; do claim "the region, too, has node $i in wave $i" is "SELECT wave FROM sys.rollout_nodes WHERE rollout_id = $id AND node_id = '$(eval echo "\$node$i")'" "$i"; done
    within "every node serves generation 2" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls' AND generation = 2" $((count + 3))
    wait_for 10 shell_ended
    claim "the shell followed it to its end" grep -q "succeeded" "$out/shell.log"
    say "    what the shell showed last:"
    tail -n 5 "$out/shell.log" | sed 's/^/    /'
    for i in 1 2 3; do printf -v "serial$i" %s "$(serial_of "$i")"; done
    show "SELECT wave, share, nodes_total, nodes_done, nodes_failed, p99_ms, state FROM sys.rollout_waves WHERE rollout_id = $id"
}

serials_new()  { never_before 1 "$1" 1 && never_before 2 "$2" 1 && never_before 3 "$3" 1; }
# The shell itself is the process that is stopped, not one that waits for it.
script_shell() { PGPASSWORD=$password exec reeve -q -p "$sql_port" -h 127.0.0.1 -U "$role" --follow -c "$1"; }
shell_ended()  { ! kill -0 "$pid_shell" 2>/dev/null; }
newest_is_running() { [ -n "$(newest_rollout)" ]; }
both_old()     { serves_old 2 "$1" && serves_old 3 "$2"; }

# ---- 4: a rotation that goes wrong reverts itself ----

step_4()
{
    local id
    head_ 4 "A second rotation goes wrong: 40% of the fleet fail to install it, and one nginx refuses to reload"
    touch "$out/agent1/refuse-reload"
    spawn issues watch_issues
    sabotaged && { rm -f "$out/agent1/refuse-reload"; stop_pid "$pid_fleet"; start_fleet 0; wait_for 60 is "SELECT nodes_live FROM sys.regions" $((count + 3)); }
    role=operator do_sql "ROTATE CERT 'edge-tls' USING STRATEGY careful REASON 'a bad one'"
    id=$(newest_rollout)
    within "the rollout rolled itself back" 60 rollout_is "$id" rolled_back
    within "the gate fired, and sys.issues said so meanwhile" 10 grep -q "rollout_gate.*edge-tls" "$out/issues.log"
    kill "$pid_issues" 2>/dev/null
    rm -f "$out/agent1/refuse-reload"
    claim "with the evidence: the counts that fired the gate" is "SELECT evidence ->> 'fired_gate' = '1' AND (evidence ->> 'failed')::int >= 2 AND reason LIKE 'rollback gate%' FROM sys.rollouts WHERE rollout_id = $id" t
    within "the issue has cleared" 20 is "SELECT count(*) FROM sys.issues WHERE kind = 'rollout_gate'" 0
    within "agent 1's reload command failed, and it put the previous generation back" 20 grep -q "generation 3 failed: RELOAD" "$out/agent1.log"
    within "nginx 1 serves the previous generation" 20 serves_old 1 "$serial1"
    claim "nginx 2 and 3 were never touched" both_old "$serial2" "$serial3"
    within "every node serves generation 2 again" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls' AND generation = 2" $((count + 3))
    show "SELECT rollout_id, state, wave, done, failed, reason FROM sys.rollouts WHERE rollout_id = $id"
    show "SELECT node_id, state, error_code, error FROM sys.rollout_nodes WHERE rollout_id = $id AND error IS NOT NULL LIMIT 3"
    claim "sys.rollout_nodes names the nodes and their errors" is "SELECT count(*) > 0 FROM sys.rollout_nodes WHERE rollout_id = $id AND error IS NOT NULL" t
    bad_rollout=$id
    figures=$(server_figures)
}

# What sys.issues shows while the rollout goes back may last a tenth of a second: one session looks at it all the time.
# When the shell is stopped, what feeds it ends by its broken pipe.
watch_issues()
{
    PGPASSWORD=$password exec reeve -q -p "$sql_port" -h 127.0.0.1 -U admin --text -t < <(
        while echo "SELECT kind || ' ' || object || ' ' || message FROM sys.issues;"; do sleep 0.02; done 2>/dev/null)
}

# ---- 5: parts stopped, everything stopped ----

stopped_part_holds()    # stopped_part_holds validator RENEW_BEFORE LEAVES
{
    local part=$1 after p known
    p=$(pid_of "$part")
    sabotaged || kill -STOP "$p"
    sleep 0.5               # what was under way when it stopped has arrived
    known=$(ask "SELECT height FROM sys.chain")
    sql -c "SET statement_timeout = '2s'; ALTER CERT 'edge-tls' SET (renew_before = '$2')" >>"$out/sql.log" 2>&1
    sleep 0.5
    after=$(ask "SELECT height FROM sys.chain WHERE tree_size = $3")
    [ -n "$after" ] && held "with the $part stopped nothing new is attested" || missed "with the $part stopped something new was attested"
    agents_at_most "$known" && held "and nothing new reaches an agent" || missed "something new reached an agent"
    answers 1 && held "nginx goes on serving" || missed "nginx does not answer"
    kill -CONT "$p" 2>/dev/null
}

agents_at_most() { local i; for i in 1 2 3; do [ "$(agent_height "$i")" -le "$1" ] || return 1; done; }
agent_height() { reeve-agent status --state "$out/agent$1/state" | python3 -c 'import json,sys; print(json.load(sys.stdin)["height"])'; }
leaves() { ask "SELECT tree_size FROM sys.chain"; }
all_agents_say() { local i; for i in 1 2 3; do reeve-agent status --state "$out/agent$i/state" 2>/dev/null | grep -q "\"$1\"" || return 1; done; }

step_5()
{
    local i n
    head_ 5 "Stopped parts, and everything stopped"
    n=$(leaves); stopped_part_holds validator '29 days' "$n"
    within "continued, new updates are attested" 20 more_leaves "$n"
    n=$(leaves); stopped_part_holds signer '28 days' "$n"
    within "continued, new updates are attested again" 20 more_leaves "$n"
    within "and reach the agents" 20 all_agents_know
    reeve-ctl stop -D "$data" -m fast >>"$out/ctl.log" 2>&1
    for i in 1 2 3; do stop_pid "$(eval echo "\$pid_agent$i")"; done
    for i in 1 2 3; do claim "nginx $i goes on serving with everything stopped" serves_old "$i" "$(eval echo "\$serial$i")"; done
    for i in 1 2 3; do start_agent "$i"; done
    within "agents restart from their caches and say STALE" 30 all_agents_say STALE
    reeve-ctl start -D "$data" >>"$out/ctl.log" 2>&1 9>&-
    within "with the server back they are FRESH" 60 all_agents_say FRESH
    within "nobody is lost: $((count + 3)) live nodes" 120 is "SELECT nodes_live FROM sys.regions" $((count + 3))
}

more_leaves() { [ "$(leaves)" -gt "$1" ]; }
all_agents_know()
{
    local height i
    height=$(ask "SELECT height FROM sys.chain")
    for i in 1 2 3; do
        reeve-agent status --state "$out/agent$i/state" | python3 -c 'import json,sys; sys.exit(json.load(sys.stdin)["height"] < int(sys.argv[1]) - 1)' "$height" || return 1
    done
}

# ---- 6: what happened, the figures, how to connect ----

server_figures()
{
    local master kb=0 cpu=0
    master=$(head -n 1 "$data/reeve.pid")
    ps -o pid=,rss=,cputimes=,args= --ppid "$master" | awk '/gateway/ { rss += $2; n++ } { cpu += $3 } END { printf "%d gateways, %.1f KB resident each agent, %d s of server CPU up to then\n", n, rss / '"$((count + 3))"', cpu }'
}

step_6()
{
    head_ 6 "What happened"
    # What an auditor may read stands with its proof: every change, who made it, and its leaf.
    role=auditor sql --json -c "SELECT version, log, at, actor, action, object_kind, object, statement, reason, leaf_hash FROM sys.history" >"$out/history.json" 2>>"$out/sql.log"
    python3 - "$out" "$count" "$checks" "$failures" "$bad_rollout" <<'EOP' >"$out/summary.json" 2>>"$out/sql.log"
import json, sys
out, count, checks, failures, bad = sys.argv[1], *map(int, sys.argv[2:6])
fleet = json.load(open(out + "/fleet.json"))
history = [json.loads(l) for l in open(out + "/history.json")]
print(json.dumps({"agents": count + 3, "checks": checks, "failures": failures, "rolled_back_rollout": bad,
    "agents_per_second": fleet["agents_per_s"], "finalizations_verified": fleet["verified"],
    "least_by_one_agent": fleet["verified_min"], "refusals": fleet["refusals"], "history": len(history)}, indent=2))
EOP
    sabotaged && rm -f "$out/summary.json" "$out/history.json"
    claim "the history is exported: demo-out/history.json" grep -q '"object": "edge-tls"' "$out/history.json"
    claim "a summary is written: demo-out/summary.json" python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["finalizations_verified"] >= d["agents"]' "$out/summary.json"
    note "$(fleet_says "'fleet: %d agents, %d finalizations verified, at least %d by each, refusals %s' % (d['agents'], d['verified'], d['verified_min'], d['refusals'])")"
    note "$figures"
    show "SELECT rollout_id, object, state, wave, waves, targets, done, failed, reason FROM sys.rollouts"
}

living() { local p; for p in "${pids[@]}"; do kill -0 "$p" 2>/dev/null && printf '%s ' "$p"; done | sed 's/ $//'; }

finish()
{
    local seconds=$(( $(date +%s) - started_at ))
    say
    if [ "$once" = 1 ]; then
        stop_everything
        trap - EXIT
    else
        trap - EXIT
        say "${bold}It is still running.${plain} Connect:"
        say "    export PATH=$top/build/bin:\$PATH PGPASSWORD=$password"
        say "    reeve -p $sql_port -U operator        # then: ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 100%;"
        say "    psql \"host=127.0.0.1 port=$sql_port user=auditor dbname=reeve\""
        say "    openssl s_client -connect 127.0.0.1:$((sql_port + 10))"
        say "Stop it:"
        say "    kill $(living); for d in $(echo "$out"/server*); do reeve-ctl stop -D \$d; done; for i in 1 2 3; do kill \$(cat $out/nginx\$i/nginx.pid); done"
    fi
    say
    say "$((checks - failures)) of $checks checks held, in $seconds s."
    [ "$failures" = 0 ]
    exit
}
