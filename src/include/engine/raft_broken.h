/*
 * raft_broken.h - rules that a test may break, one at a time
 *
 * A simulator is worth what it catches. Built with -DREEVE_BROKEN the engine
 * leaves out the rule whose number raft_broken holds; in every other build
 * RAFT_BROKEN() is the constant 0 and nothing of this is left.
 */
#ifndef REEVE_ENGINE_RAFT_BROKEN_H
#define REEVE_ENGINE_RAFT_BROKEN_H

#define RAFT_BROKEN_LIST(X) \
    X(1,  VOTE_NOT_DURABLE,   "a vote is answered before it is durable") \
    X(2,  COMMIT_OLD_TERM,    "entries of an earlier term are committed by counting (figure 8)") \
    X(3,  CONF_KEPT_AT_TRUNCATION, "a truncated configuration stays in force") \
    X(4,  CONF_KEPT_AT_SNAPSHOT, "a snapshot does not replace an uncommitted configuration") \
    X(5,  READ_ID_REUSED,     "a read is confirmed by an answer to an earlier round") \
    X(6,  DURABLE_ABA,        "the completion of a truncated append counts as durable") \
    X(7,  COMMIT_NOT_CLAMPED, "a heartbeat's commit is not held to what the peer holds") \
    X(8,  VOTE_BY_LENGTH,     "logs are compared by length before term") \
    X(9,  JOINT_ONE_MAJORITY, "while joint, the new voters decide alone") \
    X(10, LEADER_NOT_DURABLE, "the leader counts itself before its log is durable") \
    X(11, ACK_NOT_DURABLE,    "a follower acknowledges before it is durable") \
    X(12, TRUNCATE_ALWAYS,    "an older append request cuts what lies beyond it") \
    X(13, READ_EARLY,         "reads are served before the first commit of the term") \
    X(14, WIPED_VOTES,        "incarnations are not compared") \
    X(15, CHANGE_EARLY,       "a change is taken before the leader committed in its term, or while one is uncommitted") \
    X(16, VOTE_TWICE,         "a second candidate of a term is granted a vote too") \
    X(17, DEDUP_FORGOTTEN,    "a repeated command is applied again") \
    X(18, REPAIR_LEADS,       "a member in repair campaigns") \
    X(19, DISK_STALL_LEADS,   "a leader whose disk stalls stays") \
    X(20, READ_UNAPPLIED,     "a read does not wait for the state to catch up") \
    X(21, SNAPSHOT_KEEPS_LOG, "a snapshot keeps a log that does not match it") \
    X(22, REMOVED_COUNTS,     "a leader on his way out counts himself") \
    X(23, MUTE_COUNTS,        "a mute member votes and is counted") \
    X(24, UNSENT_IS_SENT,     "a proposal given up as never sent is sent after all") \
    X(25, FORWARD_ANY_TERM,   "a leader takes commands that were sent to it in an earlier term") \
    X(26, KEPT_FORGOTTEN,     "what left the window is not read back for who is on the way up")

#define RAFT_BROKEN_ENUM(n, sym, text) BROKEN_##sym = n,
enum raft_broken_rule { RAFT_BROKEN_LIST(RAFT_BROKEN_ENUM) RAFT_BROKEN__END };

#ifdef REEVE_BROKEN
extern unsigned raft_broken;            /* 0: none */
#define RAFT_BROKEN(sym) (raft_broken == BROKEN_##sym)
#else
#define RAFT_BROKEN(sym) 0
#endif

#endif
