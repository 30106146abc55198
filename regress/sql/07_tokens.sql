-- Join tokens: shown once, revoked by their id; the secret is nowhere.
CREATE JOIN_TOKEN;
CREATE JOIN_TOKEN WITH (region = 'eu', uses = 5, ttl = '1 h', labels = 'tier=edge,site=fra-1');
CREATE JOIN_TOKEN WITH (ttl = 0);
CREATE JOIN_TOKEN WITH (region = 'us');
CREATE JOIN_TOKEN WITH (uses = 0);
CREATE JOIN_TOKEN WITH (uses = 'many');
CREATE JOIN_TOKEN WITH (ttl = 'soon');
CREATE JOIN_TOKEN WITH (labels = 'tier');
CREATE JOIN_TOKEN WITH (colour = 'red');
EXPLAIN CREATE JOIN_TOKEN;
SHOW JOIN_TOKENS WHERE uses_left = 5;
SELECT region, uses_left, expires IS NULL AS for_ever, created_by, labels FROM sys.join_tokens ORDER BY uses_left, for_ever;
SELECT token_id AS id FROM sys.join_tokens WHERE uses_left = 5 \gset
SHOW JOIN_TOKENS WHERE uses_left = 5;
EXPLAIN REVOKE JOIN_TOKEN :'id';
REVOKE JOIN_TOKEN :'id';
REVOKE JOIN_TOKEN :'id';
REVOKE JOIN_TOKEN 'nonsense';
SELECT count(*) FROM sys.join_tokens;
SELECT action, object_kind, object, statement FROM sys.history WHERE object_kind = 'join_token' ORDER BY version;
