# story.sh - the steps of the demo, in order; each checks what it claims
#
# A ring has steps of its own (ring.sh) among those of one server. A step of both asks is_ring where the ring adds something.
# Regions with a chain in common are a story of their own (regions.sh). Steps are counted through the stories told.

server_steps=(server agents rotation bad_rotation stopped what_happened)
ring_steps=(members statements agents rotation bad_rotation leader_dies validator_dies stopped what_happened)
steps_of()  { local list=${1}_steps[@]; printf '%s\n' "${!list}"; }
all_steps() { local s; for s in "${stories[@]}"; do steps_of "$s"; done; }

demo_main()
{
    export PATH=$top/build/bin:/usr/bin:/usr/sbin:$PATH      # what Debian's packages brought before anything else
    [ "$stop" = 0 ] || { stop_former; exit; }
    tools/install-packages build run || die "packages could not be installed"
    build_it
    mkdir -p "$root" || die "cannot write $root"
    exec 9>"$root/.lock" && flock -n 9 || die "another demo runs in $root"
    stop_former
    rm -rf "${root:?}"/* || die "cannot empty $root"
    umask 077
    trap 'stop_everything $(living)' EXIT
    trap 'exit 130' INT TERM HUP
    tell
    finish
}

title()
{
    case $story in
    server) echo "Reeve: one server, three nginx, $count more agents, one certificate" ;;
    ring) echo "Reeve: a ring of three, three nginx, $count more agents at all members, one certificate" ;;
    regions) echo "Reeve: three regions and four validators, an nginx in each region, $count more agents, one chain" ;;
    esac
}

tell()
{
    local name next
    for next in "${stories[@]}"; do
        [ -z "${story:-}" ] || stop_everything $(living)
        set_scene "$next"
        mkdir -p "$out"
        pick_ports
        say
        say "$bold$(title)$plain"
        for name in $(steps_of "$story"); do
            step=$((step + 1))
            "step_$name"
            # A sabotaged step that was noticed has shown what it had to show.
            sabotaged && [ "$failures" -gt 0 ] && return
        done
    done
}

build_it()
{
    local twofaced=regress/lib/twofaced/reeved
    if [ ! -x build/bin/reeved ] || [ ! -x "build/$twofaced" ] ||
        [ -n "$(find src configure.ac Makefile.am -newer build/bin/reeved -print -quit 2>/dev/null)" ]; then
        note "building (a minute or two the first time)"
        [ -x configure ] && [ configure -nt configure.ac ] || autoreconf -fi >/dev/null 2>&1 || die "autoreconf failed"
        mkdir -p build
        { [ -f build/Makefile ] || (cd build && ../configure -q --enable-werror); } >build/demo-build.log 2>&1 &&
            make -s -C build -j"$(nproc)" all >>build/demo-build.log 2>&1 && make -s -C build "$twofaced" >>build/demo-build.log 2>&1 || { tail -20 build/demo-build.log; die "the build failed"; }
    fi
}

# ---- a server and its objects, all by statements ----

step_server()
{
    head_ "A server, and everything on it by statements over the PostgreSQL protocol"
    make_region
    claim "reeve-ctl start returned with the server answering" is "SELECT 1" 1
    make_objects
}

make_objects()
{
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

# ---- real agents, real nginx, and a fleet ----

step_agents()
{
    if is_ring; then head_ "An agent with a real nginx at each member, in three waves; $count more in fleets"
    else head_ "Three agents with a real nginx each, their cohorts in three waves; $count more in a fleet"; fi
    draw_identity 1 0 0.05 && draw_identity 2 0.06 0.24 && draw_identity 3 0.26 1 || die "no identities drawn"
    held "cohorts drawn: $share1 (canary), $share2 (second wave), $share3 (last wave)"
    start_agents
    start_fleets 0.4
    note_serials
    ! is_ring || agent_by_intermediate
    within "all $nodes nodes are enrolled" 120 is "SELECT count(*) FROM sys.nodes" "$nodes"
    within "every fleet member serves generation 1" 120 all_serve 1
    claim "every fleet member verified finalizations itself" fleet_is "d['verified_min'] > 0 and d['refusals'] == {}"
    within "the server has heard of all generations" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls'" "$nodes"
    ! is_ring || all_live_at 2
    note "$(fleet_says "'%d agents connected, enrolled, registered in %.1f s: %.0f a second; %d finalizations verified' % (d['agents'], d['all_connected_s'], d['agents_per_s'], d['verified'])")"
}

start_agents()
{
    local i from
    for i in 1 2 3; do
        nginx_config "$i"
        agent_config "$i"
        sabotaged && [ "$i" = 2 ] || start_agent "$i"
    done
    for i in 1 2 3; do
        from=
        ! is_ring || from="got from member $i, "
        within "nginx $i serves a certificate that its agent ${from}verified and installed" 30 answers "$i"
    done
}

# ---- a rotation, wave by wave ----

rollout_state() { ask "SELECT state FROM sys.rollouts WHERE rollout_id = $1"; }
rollout_is()    { [ "$(rollout_state "$1")" = "$2" ]; }
opened()        { [ "$(ask "SELECT wave FROM sys.rollouts WHERE rollout_id = $1")" -ge "$2" ]; }
wave_ms()       { local at; at=$(ask "SELECT started FROM sys.rollout_waves WHERE rollout_id = $1 AND wave = $2"); [ -z "$at" ] || date -d "$at" +%s%3N; }
newest_rollout() { ask "SELECT max(rollout_id) FROM sys.rollouts"; }

step_rotation()
{
    local i id old1=$serial1 old2=$serial2 old3=$serial3
    head_ "ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100%"
    sql -c "EXPLAIN ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100%" 2>&1 | indented
    : >"$out/serials.log"
    for i in 1 2 3; do spawn "looks$i" watch_serials "$i"; done
    role=operator spawn shell script_shell "ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100% REASON 'yearly'"
    wait_for 10 newest_is_running
    id=$(newest_rollout)
    sabotaged && do_sql "PAUSE ROLLOUT $id"
    waves_open "$id"
    wait_for 5 serials_new "$old1" "$old2" "$old3"
    stop_pid "$pid_looks1" "$pid_looks2" "$pid_looks3"
    serials_were_due "$id"
    rotation_ended "$id"
    note_serials
    show "SELECT wave, share, nodes_total, nodes_done, nodes_failed, p99_ms, state FROM sys.rollout_waves WHERE rollout_id = $id"
}

waves_open()    # waves_open ROLLOUT: one after the other, each with its nginx
{
    within "wave 1 opens" 60 opened "$1" 1
    within "nginx 1, in the canary, shows a new serial" 30 serves_new 1 "$old1"
    within "wave 2 opens" 60 opened "$1" 2
    claim "not before the 3 s of baking were over" is "SELECT (SELECT started FROM sys.rollout_waves WHERE rollout_id = $1 AND wave = 2) - (SELECT started FROM sys.rollout_waves WHERE rollout_id = $1 AND wave = 1) >= INTERVAL '3 s'" t
    within "nginx 2 shows a new serial" 30 serves_new 2 "$old2"
    within "wave 3 opens" 60 opened "$1" 3
    within "nginx 3 shows a new serial" 30 serves_new 3 "$old3"
}

serials_were_due()  # serials_were_due ROLLOUT: what the looks saw, by the times of its waves
{
    local i wave1 wave2 wave3
    for i in 1 2 3; do printf -v "wave$i" %s "$(wave_ms "$1" "$i")"; done
    claim "nginx 1 showed it when wave 1 was open, never before" never_before 1 "$old1" "$wave1"
    claim "and before wave 2 was" new_between 1 "$old1" "$wave1" "$wave2"
    claim "nginx 2, not due with wave 1, showed the old one" old_between 2 "$old2" "$wave1" "$wave2"
    claim "and the new one never before wave 2 was open" never_before 2 "$old2" "$wave2"
    claim "but before wave 3 was" new_between 2 "$old2" "$wave2" "$wave3"
    claim "nginx 3, not due with wave 2, showed the old one" old_between 3 "$old3" "$wave2" "$wave3"
    claim "and the new one never before wave 3 was open" never_before 3 "$old3" "$wave3"
}

rotation_ended()    # rotation_ended ROLLOUT
{
    local i node
    within "the rollout succeeded" 60 rollout_is "$1" succeeded
    for i in 1 2 3; do
        node=node$i
        claim "the region, too, has node $i in wave $i" is "SELECT wave FROM sys.rollout_nodes WHERE rollout_id = $1 AND node_id = '${!node}'" "$i"
    done
    within "every node serves generation 2" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls' AND generation = 2" "$nodes"
    wait_for 10 shell_ended
    claim "the shell followed it to its end" grep -q "succeeded" "$out/shell.log"
    say "    what the shell showed last:"
    tail -n 5 "$out/shell.log" | sed 's/^/    /'
}

serials_new()  { never_before 1 "$1" 1 && never_before 2 "$2" 1 && never_before 3 "$3" 1; }
# The shell itself is the process that is stopped, not one that waits for it.
script_shell() { PGPASSWORD=$password exec reeve -q -p "$sql_port" -h 127.0.0.1 -U "$role" --follow -c "$1"; }
shell_ended()  { ! alive "$pid_shell"; }
newest_is_running() { [ -n "$(newest_rollout)" ]; }
both_old()     { serves_old 2 "$1" && serves_old 3 "$2"; }

# ---- a rotation that goes wrong reverts itself ----

step_bad_rotation()
{
    local id
    head_ "A second one goes wrong: 40% of the fleet fail to install it, one nginx refuses to reload"
    touch "$out/agent1/refuse-reload"
    spawn issues watch_issues
    sabotaged && { rm -f "$out/agent1/refuse-reload"; stop_fleets; start_fleets 0; wait_for 60 fleet_is "d['connected'] == $count"; }
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
    within "every node serves generation 2 again" 30 is "SELECT on_current FROM sys.certs WHERE name = 'edge-tls' AND generation = 2" "$nodes"
    show "SELECT rollout_id, state, done, failed, reason FROM sys.rollouts WHERE rollout_id = $id"
    show "SELECT left(node_id, 18) AS node, state, error_code, error FROM sys.rollout_nodes WHERE rollout_id = $id AND error IS NOT NULL LIMIT 3"
    claim "sys.rollout_nodes names the nodes and their errors" is "SELECT count(*) > 0 FROM sys.rollout_nodes WHERE rollout_id = $id AND error IS NOT NULL" t
    bad_rollout=$id
    figures=$(member_figures)
}

# What sys.issues shows while the rollout goes back may last a tenth of a second: one session looks at it all the time.
# When the shell is stopped, what feeds it ends by its broken pipe.
watch_issues()
{
    PGPASSWORD=$password exec reeve -q -p "$sql_port" -h 127.0.0.1 -U admin --text -t < <(
        while kill -0 $$ && echo "SELECT kind || ' ' || object || ' ' || message FROM sys.issues;"; do sleep 0.02; done 2>/dev/null)
}

# ---- parts stopped, everything stopped ----

stopped_part_holds()    # stopped_part_holds validator RENEW_BEFORE LEAVES
{
    local part=$1 after p known
    p=$(pid_of 1 "$part")
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

agents_at_most()  { local i; for i in 1 2 3; do [ "$(agent_says "$i" height)" -le "$1" ] || return 1; done; }
agents_at_least() { local i; for i in 1 2 3; do [ "$(agent_says "$i" height)" -ge "$1" ] || return 1; done; }
all_agents_know() { local now; now=$(ask "SELECT height FROM sys.chain"); [ -n "$now" ] && agents_at_least $((now - 1)); }
leaves()          { ask "SELECT tree_size FROM sys.chain"; }
more_leaves()     { [ "$(leaves)" -gt "$1" ]; }

step_stopped()
{
    local n
    head_ "Stopped parts, and everything stopped"
    n=$(leaves); stopped_part_holds validator '29 days' "$n"
    within "continued, new updates are attested" 20 more_leaves "$n"
    n=$(leaves); stopped_part_holds signer '28 days' "$n"
    within "continued, new updates are attested again" 20 more_leaves "$n"
    within "and reach the agents" 20 all_agents_know
    everything_stopped
}

everything_stopped()
{
    local i
    each_member stop_member
    stop_agents
    for i in 1 2 3; do claim "nginx $i goes on serving with everything stopped" serves_old "$i" "$(old_serial "$i")"; done
    for i in 1 2 3; do start_agent "$i"; done
    within "agents restart from their caches and say STALE" 30 all_agents_say STALE
    each_member start_member
    within "with the server back they are FRESH" 60 all_agents_say FRESH
    within "nobody is lost: $nodes live nodes" 120 is "SELECT nodes_live FROM sys.regions" "$nodes"
}

# ---- what happened, the figures, how to connect ----

step_what_happened()
{
    head_ "What happened"
    # What an auditor may read stands with its proof: every change, who made it, and its leaf.
    role=auditor sql --json -c "SELECT version, log, at, actor, action, object_kind, object, statement, reason, leaf_hash FROM sys.history" >"$out/history.json" 2>>"$out/sql.log"
    summary >"$out/summary.json"
    sabotaged && rm -f "$out/summary.json" "$out/history.json"
    claim "the history is exported: demo-out/history.json" grep -q '"object": "edge-tls"' "$out/history.json"
    claim "a summary is written: demo-out/summary.json" python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["finalizations_verified"] >= d["agents"]' "$out/summary.json"
    note "$(fleet_says "'fleet: %d agents, %d finalizations verified, at least %d by each, refusals %s' % (d['agents'], d['verified'], d['verified_min'], d['refusals'])")"
    note "$figures"
    show "SELECT rollout_id, object, state, wave, waves, done, failed, reason FROM sys.rollouts"
    ! is_ring || show "SELECT member, role, match_index, intermediates FROM sys.ring_members"
}

summary()
{
    local changes
    changes=$(wc -l <"$out/history.json")
    fleet_says "json.dumps({'members': $members, 'agents': $nodes, 'checks': $checks, 'failures': $failures,
        'rolled_back_rollout': $bad_rollout, 'agents_per_second': round(d['agents_per_s'], 1), 'finalizations_verified': d['verified'],
        'least_by_one_agent': d['verified_min'], 'refusals': d['refusals'], 'history': $changes}, indent=2)"
}

finish()
{
    say
    if [ "$once" = 1 ] || [ "$failures" -gt 0 ]; then stop_everything $(living); else how_to_go_on; fi
    trap - EXIT
    say
    say "$((checks - failures)) of $checks checks held, in $(( $(date +%s) - started_at )) s."
    [ "$failures" = 0 ]
    exit
}

how_to_go_on()
{
    say "${bold}It is still running.${plain} Connect:"
    say "    export PATH=$top/build/bin:\$PATH PGPASSWORD=$password"
    say "    reeve -p $sql_port -U operator        # then: ROTATE CERT '$(cert_of 1)' CANARY 5% FOR '3 s' THEN 100%;"
    ! is_federation || say "    reeve -p $(port_of 2) -U operator        # another region; the third: -p $(port_of 3)"
    ! is_ring || say "    reeve -p $(port_of 2) -U operator        # another member; the third: -p $(port_of 3)"
    say "    psql \"host=127.0.0.1 port=$sql_port user=auditor dbname=reeve\""
    say "    openssl s_client -connect 127.0.0.1:$(nginx_port_of 1)"
    say "Stop it:"
    say "    $top/demo.sh --stop"
}
