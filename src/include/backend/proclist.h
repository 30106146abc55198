/*
 * proclist.h - PROC(symbol, title, how many, restart, kv) of every process kind
 * restart: ALWAYS (again, with back-off), NEVER (reaped only), FATAL (the server stops)
 * kv: NONE, READ or WRITE - may it open the region's LMDB environment, and how
 * Kinds other than the postmaster and backends are forked and re-executed as
 * `reeved --child=TITLE`, so that they inherit nobody's memory.
 */
PROC(POSTMASTER, "postmaster", ONE,  FATAL,  NONE)
PROC(BACKEND,    "backend",    MANY, NEVER,  READ)
PROC(RING,       "ring",       ONE,  ALWAYS, WRITE)
PROC(SIGNER,     "signer",     ONE,  ALWAYS, NONE)
PROC(VALIDATOR,  "validator",  ONE,  ALWAYS, NONE)
PROC(GATEWAY,    "gateway",    MANY, ALWAYS, READ)
PROC(FEDERATION, "federation", ONE,  ALWAYS, READ)
PROC(MIRROR,     "mirror",     ONE,  ALWAYS, READ)
