# ring.sh - what a ring adds to the story: its members, agents at each of them, and members that die in the middle of rollouts

# ---- three members ----

step_members()
{
    local n
    head_ "Three members: one makes the region, two join it by a token"
    make_region
    claim "the first member answers" is "SELECT 1" 1
    for n in 2 3; do
        claim "member $n was let in, and has the state" join_member "$n"
        sabotaged && [ "$n" = 3 ] && kill_member 3
        within "member $n votes" 30 make_voter "$n"
    done
    within "all three are linked" 30 is "SELECT count(*) FROM sys.ring_members WHERE linked" 3
    within "each has its own signing key, attested" 30 is "SELECT count(distinct signing_key) FROM sys.ring_members" 3
}

step_statements()
{
    head_ "Everything on it by statements over the PostgreSQL protocol"
    make_objects
    within "each member that joined has its own intermediate under the authority" 30 is "SELECT sum(intermediates) FROM sys.ring_members" 2
    within "what one member acknowledged another shows" 10 at 3 is "SELECT count(*) FROM sys.certs WHERE name = 'edge-tls'" 1
    show "SELECT member, role, match_index, intermediates, left(signing_key, 16) AS signing_key FROM sys.ring_members"
}

# ---- agents at every member ----

agent_by_intermediate()
{
    claim "agent 2's certificate is under member 2's intermediate" issuer_of 2 "intermediate of member 2"
}
issuer_of() { openssl x509 -noout -issuer -in "$out/agent$1/edge-tls/current/cert.pem" | grep -q "$2"; }

all_live_at() { within "and at member $1 all are live, wherever they are connected" 30 at "$1" is "SELECT count(*) FROM sys.nodes WHERE state = 'live'" "$nodes"; }

# ---- the leader dies ----

leader()     { ask "SELECT member FROM sys.ring_members WHERE role = 'leader'"; }
# Only who leads can hand over.
leads_now()
{
    local now
    now=$(leader)
    [ "$now" != "eu-west-$1" ] || return 0
    at "${now#eu-west-}" do_sql "ALTER RING 'eu-west' TRANSFER LEADER TO 'eu-west-$1'"
    return 1
}
another_leads() { is "SELECT count(*) FROM sys.ring_members WHERE role = 'leader' AND member <> 'eu-west-$1'" 1; }
opened_once()   { is "SELECT count(*) = count(distinct wave) AND count(*) = 3 FROM sys.rollout_waves WHERE rollout_id = $1 AND started IS NOT NULL" t; }
done_all()      { is "SELECT done = targets AND failed = 0 FROM sys.rollouts WHERE rollout_id = $1" t; }
# Versions of the rollout's object in the log: dense, so no step was lost, and each state was entered once.
steps_dense()   { is "SELECT count(*) = count(distinct seq) AND count(*) = max(seq) - min(seq) + 1 FROM sys.rollout_events WHERE rollout_id = $1" t; }
# Every node has the certificate of a rollout that is over: the fleets, and the three nginx.
all_have()
{
    local i
    within "every fleet member serves generation $1" 60 all_serve "$1"
    for i in 1 2 3; do within "nginx $i shows a new serial" 30 serves_new "$i" "$(old_serial "$i")"; done
    note_serials
}

step_leader_dies()
{
    local id
    head_ "SIGKILL for the leader, a member without the validator, in the middle of a rotation"
    within "member 2 leads" 30 leads_now 2
    role=operator do_sql "ROTATE CERT 'edge-tls' CANARY 5% FOR '3 s' THEN 25% FOR '3 s', 100% REASON 'a leader dies'"
    id=$(newest_rollout)
    within "the canary is out" 60 opened "$id" 1
    kill_member 2
    sabotaged && kill_member 3
    note "member 2 is dead; the rollout: $(rollout_state "$id")"
    within "another member leads" 30 another_leads 2
    claim "nginx 2, whose agent was there, serves all the time" answers 2
    within "the rollout succeeds" 120 rollout_is "$id" succeeded
    claim "every wave was opened once" opened_once "$id"
    claim "no step was lost or made twice" steps_dense "$id"
    within "every node is done, none failed" 60 done_all "$id"
    all_have 4
    start_member 2
    within "member 2 comes back and knows how it ended" 60 at 2 rollout_is "$id" succeeded
    show "SELECT wave, nodes_total, nodes_done, nodes_failed, started, state FROM sys.rollout_waves WHERE rollout_id = $id"
}

# ---- the keys are away ----

in_canary() { is "SELECT wave = 1 AND state IN ('running', 'baking') FROM sys.rollouts WHERE rollout_id = $1" t; }
# held_until SECOND ROLLOUT: it stays where it is
held_until()
{
    while at 3 in_canary "$2"; do
        [ "$(date +%s)" -lt "$1" ] || return 0
        sleep 0.5
    done
    return 1
}

step_validator_dies()
{
    local id i killed_at
    head_ "SIGKILL for the validator's member: the rollout holds until it is back, agents keep serving"
    role=operator do_sql "ROTATE CERT 'edge-tls' CANARY 5% FOR '6 s' THEN 100% REASON 'the validator dies'"
    id=$(newest_rollout)
    within "the canary is out" 60 opened "$id" 1
    # A canary that answers late goes on without baking, so this is no claim.
    wait_for 3 rollout_is "$id" baking
    sabotaged || kill_member 1
    killed_at=$(date +%s)
    within "the others have a leader" 30 at 3 another_leads 1
    for i in 1 2 3; do claim "nginx $i goes on serving" answers "$i"; done
    what_goes_on
    claim "the rollout holds, long after its bake time" held_until $((killed_at + 8)) "$id"
    start_member 1
    within "back again, the rollout goes on by itself and succeeds" 120 rollout_is "$id" succeeded
    claim "no step was lost or made twice" steps_dense "$id"
    all_have 5
    within "nobody is lost" 60 is "SELECT count(*) FROM sys.nodes WHERE state <> 'live'" 0
}

# Two members without the region's keys: data is written, nodes enrol, certificates are issued.
what_goes_on()
{
    within "all agents are connected to the two that are left" 60 fleet_is "d['connected'] == $count"
    claim "ordinary data is written" at 3 do_sql "SET CONFIG 'http/max' = 50 IMMEDIATE"
    within "and reaches the agents" 60 config_is 50
    at 2 ask "CREATE JOIN_TOKEN WITH (uses = 10)" | cut -d'|' -f1 >"$out/token2"
    start_fleet newcomers "127.0.0.1:$(agent_port_of 2),127.0.0.1:$(agent_port_of 3)" 10 "$out/token2" 0
    nodes=$((nodes + 10))
    within "ten new nodes enrol and get their certificates: issuing goes on" 60 newcomers_serve
}

config_is() { local i; for i in 1 2 3; do [ "$(reeve-agent get http/max --state "$out/agent$i/state" 2>/dev/null)" = "$1" ] || return 1; done; }
newcomers_serve() { fleets=newcomers fleet_is "sum(n for g, n in d['serving'].items() if g >= 2) == 10"; }
