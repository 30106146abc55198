/*
 * settinglist.h - the one list of settings, included with SETTING() defined
 *
 * SETTING(name, type, default, min, max, unit, context, description)
 *   type     BOOL, INT, STRING or ENUM
 *   default  text, in the form reeve.conf takes
 *   min max  of an INT, in its unit; of a STRING max is its length in bytes
 *   unit     of an INT: ms, s, B or empty; of an ENUM: its words, split by |
 *   context  who may change it, and when:
 *              INTERNAL    nobody; shown only
 *              POSTMASTER  reeve.conf, at start
 *              SIGHUP      reeve.conf, at reload
 *              SUSET       like USER, but only superusers by SET
 *              USER        reeve.conf, start-up packet, SET, SET LOCAL
 * An INT with a unit accepts us ms s min h d, or B kB MB GB TB.
 * Append in the group it belongs to; ids travel between processes of one build only.
 */
/* listening */
SETTING(listen_addresses, STRING, "localhost", 0, 1023, "", POSTMASTER, "Addresses to listen on, separated by commas; * is all, empty only the local socket.")
SETTING(port, INT, "7432", 1, 65535, "", POSTMASTER, "Port for statements (PostgreSQL protocol).")
SETTING(agent_port, INT, "7433", 1, 65535, "", POSTMASTER, "Port for agents.")
SETTING(peer_port, INT, "7434", 1, 65535, "", POSTMASTER, "Port for members of the ring.")
SETTING(federation_port, INT, "7435", 1, 65535, "", POSTMASTER, "Port for other regions, where the region has a chain in common with them.")
SETTING(mirror_port, INT, "0", 0, 65535, "", POSTMASTER, "Port at which mirrors fetch the attested log (HTTP); 0 is none.")
SETTING(peer_address, STRING, "", 0, 80, "", POSTMASTER, "Where other members of the ring reach this one, HOST:PORT; empty is the first of listen_addresses and peer_port.")
SETTING(region, STRING, "local", 1, 255, "", POSTMASTER, "Name of the region this server belongs to.")
SETTING(max_connections, INT, "100", 1, 10000, "", POSTMASTER, "Sessions at one time.")
SETTING(superuser_reserved_connections, INT, "3", 0, 1000, "", POSTMASTER, "Sessions kept free for superusers.")
SETTING(gateways, INT, "0", 0, 256, "", POSTMASTER, "Gateway processes; 0 is one per core.")
SETTING(unix_socket_permissions, INT, "511", 0, 511, "", POSTMASTER, "Mode of the local socket, decimal.")
SETTING(ssl, BOOL, "on", 0, 0, "", SIGHUP, "Offer TLS to SQL clients.")
SETTING(ssl_cert_file, STRING, "tls/server.crt", 0, 1023, "", SIGHUP, "Certificate of the SQL listener (PEM); ECDSA or RSA.")
SETTING(ssl_key_file, STRING, "tls/server.key", 0, 1023, "", SIGHUP, "Key of the SQL listener (PEM).")
SETTING(ssl_ca_file, STRING, "", 0, 1023, "", SIGHUP, "Authorities of client certificates (PEM).")
SETTING(hba_file, STRING, "reeve_hba.conf", 0, 1023, "", SIGHUP, "Who may connect from where, and how.")
SETTING(data_directory, STRING, "", 0, 1023, "", INTERNAL, "The data directory.")
/* logging */
SETTING(log_level, ENUM, "info", 0, 0, "debug|info|notice|warning|error|fatal", SIGHUP, "Least severe message that reaches the server's log.")
SETTING(log_min_messages, ENUM, "warning", 0, 0, "debug|info|notice|warning|error|fatal", SUSET, "Least severe message of a session that reaches the server's log.")
SETTING(log_format, ENUM, "text", 0, 0, "text|json", SIGHUP, "Form of the server's log.")
SETTING(log_statement, ENUM, "none", 0, 0, "none|ddl|mod|all", SUSET, "Which statements are logged.")
SETTING(log_connections, BOOL, "off", 0, 0, "", SIGHUP, "Log each connection that was let in.")
SETTING(log_rotation_size, INT, "67108864", 0, 1099511627776, "B", SIGHUP, "Size at which a new log file begins; 0 never.")
/* sessions */
SETTING(statement_timeout, INT, "0", 0, 2147483647, "ms", USER, "Longest time a statement may run; 0 is no limit.")
SETTING(lock_timeout, INT, "0", 0, 2147483647, "ms", USER, "Longest wait for an object in use; 0 is no limit.")
SETTING(idle_in_transaction_session_timeout, INT, "0", 0, 2147483647, "ms", USER, "Longest idle time inside a transaction; 0 is no limit.")
SETTING(idle_session_timeout, INT, "0", 0, 2147483647, "ms", USER, "Longest idle time of a session; 0 is no limit.")
SETTING(authentication_timeout, INT, "60", 1, 600, "s", SIGHUP, "Longest time until a client has proved who it is.")
SETTING(tcp_keepalives_idle, INT, "60", 0, 86400, "s", USER, "Quiet time before a keepalive is sent; 0 leaves it to the system.")
SETTING(application_name, STRING, "", 0, 63, "", USER, "Name of the program, as sys.stat_activity shows it.")
SETTING(client_encoding, ENUM, "UTF8", 0, 0, "UTF8", USER, "Encoding of the client; only UTF8.")
SETTING(client_min_messages, ENUM, "notice", 0, 0, "debug|log|notice|warning|error", USER, "Least severe message sent to the client.")
SETTING(DateStyle, STRING, "ISO, MDY", 0, 63, "", USER, "Form of dates; the output is always ISO.")
SETTING(IntervalStyle, ENUM, "postgres", 0, 0, "postgres|iso_8601", USER, "Form of intervals.")
SETTING(TimeZone, STRING, "UTC", 0, 63, "", USER, "Time zone of times shown: UTC or a fixed offset.")
SETTING(extra_float_digits, INT, "1", -15, 3, "", USER, "Digits of floating-point numbers; 1 and up is shortest exact.")
SETTING(bytea_output, ENUM, "hex", 0, 0, "hex", USER, "Form of bytea; only hex.")
SETTING(standard_conforming_strings, ENUM, "on", 0, 0, "on", USER, "Backslashes in '...' are ordinary; always on.")
SETTING(search_path, STRING, "\"$user\", public", 0, 255, "", USER, "Schemas searched for relations; sys and pg_catalog are always searched.")
SETTING(transaction_isolation, ENUM, "read committed", 0, 0, "read committed|repeatable read|serializable|read uncommitted", USER, "Isolation asked for; a transaction is always serializable.")
SETTING(default_transaction_isolation, ENUM, "read committed", 0, 0, "read committed|repeatable read|serializable|read uncommitted", USER, "Isolation of new transactions.")
SETTING(transaction_read_only, BOOL, "off", 0, 0, "", USER, "Refuse changes in this transaction.")
SETTING(default_transaction_read_only, BOOL, "off", 0, 0, "", USER, "Refuse changes in new transactions.")
SETTING(read_consistency, ENUM, "linearizable", 0, 0, "linearizable|local", USER, "What a read waits for: everything committed before it, or nothing.")
SETTING(jit, BOOL, "off", 0, 0, "", USER, "Accepted for drivers; without effect.")
/* rollouts */
SETTING(rollout_strategy, STRING, "", 0, 255, "", USER, "Strategy of a rollout that names none.")
SETTING(rollout_default_canary, STRING, "100 NODES", 1, 63, "", USER, "First wave where neither statement nor strategy gives one.")
SETTING(rollout_default_bake, INT, "600000", 0, 86400000, "ms", USER, "Bake time of a wave that gives none.")
SETTING(rollout_returning, BOOL, "on", 0, 0, "", USER, "A statement that changes the fleet answers with one row.")
SETTING(require_reason, BOOL, "off", 0, 0, "", SUSET, "Refuse changes of the fleet without REASON.")
SETTING(target_predicate, STRING, "", 0, 1023, "", USER, "WHERE of a rollout that gives none.")
SETTING(canary_warn_nodes, INT, "10000", 0, 2147483647, "", USER, "A first wave above this many nodes raises a warning; 0 never.")
SETTING(rollout_report_timeout, INT, "60000", 100, 86400000, "ms", SIGHUP, "A node told of a change and quiet for this long counts as silent.")
SETTING(rollout_prepare_window, INT, "300000", 0, 86400000, "ms", SIGHUP, "Time over which the requests of a prepare phase are spread.")
/* agents */
SETTING(agent_heartbeat_interval, INT, "30000", 100, 3600000, "ms", SIGHUP, "Time between two heartbeats of an agent.")
SETTING(agent_reconnect_window, INT, "30000", 0, 3600000, "ms", SIGHUP, "Time over which agents spread their return.")
SETTING(node_late_after, INT, "90000", 100, 86400000, "ms", SIGHUP, "A node not heard of for this long is late.")
SETTING(node_lost_after, INT, "300000", 100, 86400000, "ms", SIGHUP, "A node not heard of for this long is lost.")
SETTING(agent_accept_queue, INT, "1024", 1, 65536, "", SIGHUP, "Handshakes a gateway has under way at one time.")
SETTING(agent_frame_max, INT, "1048576", 1024, 16777216, "B", SIGHUP, "Longest frame of the agents' protocol.")
SETTING(agent_connection_bytes_max, INT, "4194304", 16384, 268435456, "B", SIGHUP, "Bytes waiting for one agent before it is cut off.")
/* attestation and storage */
SETTING(pkcs11_folder, STRING, "", 0, 1023, "", POSTMASTER, "Folder that the signer may use for the PKCS#11 module of its keys: the module's configuration, its tokens, the PIN.")
SETTING(attest_tick_interval, INT, "60000", 100, 3600000, "ms", SIGHUP, "Time between two ticks of an idle validator set.")
SETTING(attest_max_skew, INT, "2000", 10, 60000, "ms", SIGHUP, "How far a block's time may be from a validator's own clock.")
SETTING(attest_view_timeout, INT, "3000", 50, 60000, "ms", POSTMASTER, "Longest wait of a validator for a block before it asks for another leader; where validators are several.")
SETTING(attest_submit_timeout, INT, "10000", 100, 3600000, "ms", SIGHUP, "Longest wait for the validators' decision on a security update; then its outcome is unknown.")
SETTING(config_checkpoint_delay, INT, "60000", 0, 86400000, "ms", SIGHUP, "Time a change of config waits for others before the region's config history is attested; at most once a minute in any case.")
SETTING(lmdb_map_size, INT, "8589934592", 16777216, 17592186044416, "B", POSTMASTER, "Largest size of the region's store.")
SETTING(snapshot_timeout, INT, "30000", 1000, 86400000, "ms", SIGHUP, "A statement that reads one state of the store for this long while changes are made is canceled; room they free is kept for it.")
SETTING(wal_segment_size, INT, "16777216", 16777216, 1073741824, "B", POSTMASTER, "Size of a file of the write-ahead log; a log keeps the size it was made with.")
/* facts */
SETTING(server_version, STRING, "15.0 (reeve 0.1)", 0, 63, "", INTERNAL, "Version of PostgreSQL that drivers may take us for, and ours.")
SETTING(server_version_num, INT, "150000", 0, 999999, "", INTERNAL, "The same as a number.")
SETTING(server_encoding, ENUM, "UTF8", 0, 0, "UTF8", INTERNAL, "Encoding of everything stored.")
SETTING(integer_datetimes, BOOL, "on", 0, 0, "", INTERNAL, "Times are 64-bit integers on the wire.")
SETTING(is_superuser, BOOL, "off", 0, 0, "", INTERNAL, "Is the session's role a superuser?")
SETTING(session_authorization, STRING, "", 0, 255, "", INTERNAL, "Role that logged in.")
SETTING(in_hot_standby, BOOL, "off", 0, 0, "", INTERNAL, "Always off.")
SETTING(scram_iterations, INT, "4096", 4096, 1000000, "", SUSET, "Iterations of new password verifiers.")
SETTING(max_identifier_length, INT, "255", 0, 255, "", INTERNAL, "Longest name in bytes.")
