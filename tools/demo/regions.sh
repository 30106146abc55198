# regions.sh - three regions and four validators with one chain: one is killed, one contradicts itself, two are away, an export is
# changed
#
# The fourth validator stands at a witness: a region without agents. A region's certificate, its rollouts and its agents are
# its own; what all of them install is decided by three of the four.

regions_steps=(chain fleets_of_regions one_killed two_faced quorum_lost exports)

# everywhere COMMAND...: it holds at every server; at_sites: where agents are
everywhere() { local n; for n in $(all_members); do at "$n" "$@" || return 1; done; }
at_sites()   { local n; for n in $(all_sites); do at "$n" "$@" || return 1; done; }

# ---- one chain ----

make_card()
{
    reeve-ctl init -D "$(data_of "$1")" --region "$(region_name "$1")" --address "127.0.0.1:$(fed_port_of "$1")" \
        --card "$out/$(region_name "$1").card" >>"$out/ctl.log" 2>&1
}
# Its keys are there already; what it prints is the chain that it has pinned now.
take_genesis()
{
    reeve-ctl init -D "$(data_of "$1")" --genesis "$out/chain.genesis" --superuser admin --password-file "$out/admin.password" >"$out/taken$1.log" 2>&1 &&
        configure_member "$1" && echo "attest_submit_timeout = 2min" >>"$(data_of "$1")/reeve.conf" && grep -qx "chain $chain" "$out/taken$1.log"
}

step_chain()
{
    local n
    head_ "Four places make keys and show cards, the cards make one chain; three have agents, one is a witness"
    make_password
    for n in $(all_members); do make_card "$n"; done
    reeve-ctl genesis --to "$out/chain.genesis" "$out"/*.card >"$out/genesis.log" 2>&1
    indented <"$out/genesis.log"
    chain=$(sed -n 's/^chain //p' "$out/genesis.log")
    claim "four validators begin a chain, three of them decide" grep -q "^4 validators, 3 of them decide" "$out/genesis.log"
    for n in $(all_members); do claim "$(region_name "$n") finds its keys in it and pins the same chain" take_genesis "$n"; done
    each_member start_member
    ! sabotaged || stop_member 3
    within "all four know each other" 60 everywhere is "SELECT count(*) FROM sys.regions WHERE state = 'ok'" 4
    for n in $(all_sites); do region_objects "$n"; done
    within "what one made, all know: three authorities, three certificates" 30 \
        everywhere is "SELECT (SELECT count(*) FROM sys.authorities) * 10 + (SELECT count(*) FROM sys.certs)" 33
    show "SELECT * FROM sys.validators"
}

region_objects()
{
    local name
    name=$(region_name "$1")
    at "$1" do_sql "CREATE ROLE operator LOGIN PASSWORD '$password' IN ROLE sys_operator"
    at "$1" do_sql "CREATE AUTHORITY 'ca-$name' WITH (key_type = 'ecdsa-p256', ttl = '2 years')"
    at "$1" do_sql "CREATE CERT '$(cert_of "$1")' FROM AUTHORITY 'ca-$name' SUBJECT 'CN=edge.example' SANS ('edge.example') VALID FOR '90 days' WHERE region = '$name'"
    at "$1" ask "CREATE JOIN_TOKEN WITH (uses = $((count + 100)), ttl = '1 day')" | cut -d'|' -f1 >"$(token_of "$1")"
}

# ---- agents in each region ----

step_fleets_of_regions()
{
    local i
    head_ "A real nginx and its agent in each region, $count more agents in three fleets"
    for i in $(all_sites); do
        mkdir -p "$out/agent$i"
        nginx_config "$i"
        agent_config "$i"
        sabotaged && [ "$i" = 2 ] || start_agent "$i"
    done
    start_fleets 0
    for i in $(all_sites); do
        within "nginx $i serves a certificate of $(region_name "$i") that its agent verified" 60 answers "$i"
        within "$(region_name "$i") has its $(($(fleet_size "$i") + 1)) nodes" 240 at "$i" is "SELECT count(*) FROM sys.nodes" $(($(fleet_size "$i") + 1))
    done
    within "every fleet member serves generation 1" 120 all_serve 1
    claim "every fleet member verified finalizations of three of the four itself" fleet_is "d['verified_min'] > 0 and d['refusals'] == {}"
    note_serials
    note "$(fleet_says "'%d agents connected, enrolled, registered in %.1f s; %d finalizations verified' % (d['agents'], d['all_connected_s'], d['verified'])")"
}

# ---- rotations ----

rotation_of()   { echo "ROTATE CERT '$(cert_of "$1")' CANARY 5% FOR '3 s' THEN 100% REASON '$2'"; }
rollout_of()    { at "$1" ask "SELECT max(rollout_id) FROM sys.rollouts WHERE object LIKE '%$(cert_of "$1")%'"; }
# rotate REASON REGION...: each its own, at once; the rollouts are in rollout1 ...
rotate()
{
    local n reason=$1
    shift
    for n in "$@"; do role=operator at "$n" do_sql "SET statement_timeout = '$(patience 60)s'; $(rotation_of "$n" "$reason")"; done
    for n in "$@"; do printf -v "rollout$n" %s "$(rollout_of "$n")"; done
}
# rotated GENERATION REGION...: each rollout ended well, each node has it
rotated()
{
    local n id generation=$1
    shift
    for n in "$@"; do
        id=rollout$n
        within "$(region_name "$n"): the rollout succeeded" 90 at "$n" rollout_is "${!id}" succeeded
        fleets=fleet$n within "and every fleet member there serves generation $generation" 60 fleet_is "d['serving'][$generation] == d['agents']"
        within "and nginx $n shows a new serial" 30 serves_new "$n" "$(old_serial "$n")"
    done
    note_serials
}

# The log as a server has it, up to a height that all have.
log_at()   { at "$1" ask "SET read_consistency = local; SELECT string_agg(leaf_hash, ' ') FROM sys.history WHERE height <= $2" | sha256sum; }
height()   { local h; h=$(ask "SELECT height FROM sys.chain"); echo "${h:-0}"; }
knows()    { [ "$(height)" -ge "$1" ]; }
one_log()
{
    local top n
    top=$(at 1 height)
    wait_for 60 everywhere knows "$top" || return 1
    for n in $(all_members); do [ "$(log_at "$n" "$top")" = "$(log_at 1 "$top")" ] || return 1; done
}

step_one_killed()
{
    head_ "SIGKILL for the witness with its validator: three of four decide, rotations in all regions go on"
    kill_member 4
    ! sabotaged || kill_member 3
    rotate 'one validator is dead' 1 2 3
    rotated 2 1 2 3
    show "SELECT rollout_id, object, state, reason FROM sys.rollouts"
    start_member 4
    within "the fourth comes back and has the same log as all" 60 one_log
}

# ---- one contradicts itself ----

# A test build: reeve-ctl starts the server that lies beside it.
two_faced_build() { mkdir -p "$out/twofaced" && cp build/regress/lib/twofaced/reeved build/bin/reeve-ctl "$out/twofaced/"; }
culprit_is()      { is "SELECT string_agg(object, ' ') FROM sys.issues WHERE kind = 'validator_contradicts'" "$1"; }

step_two_faced()
{
    local n path=$PATH
    head_ "All four are back, and the witness is two-faced: a test build that tells half of the others another thing"
    two_faced_build
    stop_member 4
    sabotaged || path=$out/twofaced:$PATH
    PATH=$path start_member 4
    rotate 'a validator contradicts itself' 1 2 3
    rotated 3 1 2 3
    for n in $(all_sites); do within "$(region_name "$n") keeps the proof, and its issues name the culprit" 60 at "$n" culprit_is witness; done
    show "SELECT object, substr(message, 1, 78) AS message FROM sys.issues"
    within "nobody forked: there is one log" 60 one_log
    stop_member 4
    start_member 4
    claim "honest again, and the evidence stays" at_sites culprit_is witness
}

# ---- two are away ----

still()     { [ "$(at 1 height)" = "$1" ] && at 1 in_canary "$rollout1" && alive "$pid_held"; }
held_for()      # held_for SECONDS HEIGHT
{
    local until=$(($(date +%s) + $1))
    while still "$2"; do
        [ "$(date +%s)" -lt "$until" ] || return 0
        sleep 0.5
    done
    return 1
}
ask_held()  { PGPASSWORD=$password exec reeve -q -p "$(port_of 2)" -h 127.0.0.1 -U operator -c "$(rotation_of 2 'held')"; }
has_ended() { ! alive "$1"; }
config_of() { [ "$(reeve-agent get "$2" --state "$out/agent$1/state" 2>/dev/null)" = "$3" ]; }

step_quorum_lost()
{
    local i stands
    head_ "Two validators down in the middle of a rotation: it is held, not lost, until one returns"
    rotate 'two validators are dead' 1
    within "$(region_name 1): the canary is out" 60 at 1 opened "$rollout1" 1
    ! sabotaged && kill_member 4
    kill_member 3
    spawn held ask_held
    sleep 1                 # what was under way when they died has arrived
    stands=$(at 1 height)
    claim "for 10 s nothing becomes final: the canary's bake is over, and the next wave does not open" held_for 10 "$stands"
    for i in $(all_sites); do claim "nginx $i goes on serving" answers "$i"; done
    claim "what a region decides alone goes on" at 1 do_sql "SET CONFIG 'http/max' = 50 IMMEDIATE"
    within "and reaches its agents" 30 config_of 1 http/max 50
    start_member 3
    within "$(region_name 3) is back: the statement that waited in $(region_name 2) is answered" 90 has_ended "$pid_held"
    rollout2=$(rollout_of 2)
    rotated "$((1 + $(at 1 ask "SELECT count(*) FROM sys.rollouts WHERE object LIKE '%$(cert_of 1)%'")))" 1 2
    start_member 4
    within "with all four back there is one log" 60 one_log
    within "nobody is lost" 60 at_sites is "SELECT count(*) FROM sys.nodes WHERE state <> 'live'" 0
    show "SELECT rollout_id, object, state, reason FROM sys.rollouts"
}

# ---- for auditors ----

# export_to FILE STATEMENT: as psql would write it
export_to() { sql -c "$2" >"$root/$1" 2>>"$out/sql.log" && [ -s "$root/$1" ]; }
sound()     { reeve-audit verify "$root/$1" --trust-root "$root/policy.txt" >"$out/verify.log" 2>&1; }
unsound()   { reeve-audit verify "$root/$1" --trust-root "$root/policy.txt" >"$out/verify.log" 2>&1; [ $? = 1 ] && grep -q refused "$out/verify.log"; }

# A validator that does not answer in time is missing from a note; then it is asked for again.
export_sound()    { export_to "$1" "$2" && sound "$1"; }
whole_checkpoint() { export_sound checkpoint "COPY HISTORY TO STDOUT WITH (format = 'checkpoint')" && [ "$(grep -ac '^— [^ ]*/[^ ]*/' "$root/checkpoint")" = 4 ]; }

# One byte in the middle of it is another one.
tamper()
{
    python3 - "$root/$1" "$root/$2" <<'EOP'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[len(b) // 2] ^= 1
open(sys.argv[2], "wb").write(b)
EOP
}

step_exports()
{
    local leaf
    head_ "What auditors get: the log as a bundle, one update with its proof, whom to believe"
    leaf=$(ask "SELECT max(version) FROM sys.history WHERE log = 'global'")
    claim "whom to believe: demo-out/policy.txt" export_to policy.txt "COPY HISTORY TO STDOUT WITH (format = 'policy')"
    claim "the whole log: demo-out/bundle" export_to bundle "COPY HISTORY TO STDOUT"
    claim "one update: demo-out/update.leaf" export_to update.leaf "COPY HISTORY FROM VERSION $leaf TO VERSION $leaf TO STDOUT WITH (format = 'leaf')"
    within "its proof: demo-out/update.tlog-proof" 30 export_sound update.tlog-proof "COPY HISTORY FROM VERSION $leaf TO VERSION $leaf TO STDOUT WITH (format = 'proof')"
    within "the log's head, cosigned by all four validators: demo-out/checkpoint" 30 whole_checkpoint
    grep -a -o '^— [^ ]*' "$root/checkpoint" | sed 's/reeve.\(........\)[0-9a-f]*/reeve\/\1.../' | indented
    claim "reeve-audit finds the bundle sound, without any server" sound bundle
    indented <"$out/verify.log"
    claim "the single update too" sound update.tlog-proof
    claim "and the checkpoint" sound checkpoint
    if sabotaged; then cp "$root/bundle" "$root/bundle.tampered"; else tamper bundle bundle.tampered; fi
    claim "with one bit of one byte changed it is refused" unsound bundle.tampered
    indented <"$out/verify.log"
}
