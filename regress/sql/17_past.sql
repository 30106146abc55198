-- The config as it was: AS OF VERSION and DIFF CONFIG. VERSION is the region's revision, that of sys.config.
SELECT applied_index AS r0 FROM sys.chain \gset
SET CONFIG 'http/max_conns' = 500 REASON 'first';
SET CONFIG 'http/name' = 'a "quoted" name';
SELECT max(version) AS r1 FROM sys.config \gset
SET CONFIG 'http/max_conns' = 600 REASON 'CHG-7';
SET CONFIG 'http/max_conns' = 700;
RESET CONFIG 'http/name' REASON 'not needed';
SET CONFIG 'tcp/keepalive' = true;
SELECT max(version) AS r2 FROM sys.config \gset
SET CONFIG 'http/max_conns' = 500;
SELECT max(version) AS r3 FROM sys.config \gset
-- as it was
SELECT key, value, value_type, class, version, generation, updated_by, rollout_id, next_value FROM sys.config AS OF VERSION :r1 ORDER BY key;
SELECT key, value FROM sys.config AS OF VERSION :r2 WHERE key LIKE 'http/%';
SELECT key, value FROM sys.config AS OF VERSION :r3 WHERE key = 'http/max_conns';
SELECT count(*) FROM sys.config AS OF VERSION :r0;
SELECT now.key, old.value, now.value FROM sys.config now LEFT JOIN sys.config AS OF VERSION :r1 old ON old.key = now.key ORDER BY 1;
PREPARE p AS SELECT count(*) FROM sys.config AS OF VERSION $1;
EXECUTE p (:r2);
DEALLOCATE p;
-- what is different
DIFF CONFIG FROM VERSION :r1 TO VERSION :r2;
DIFF CONFIG FROM VERSION :r1 TO VERSION :r3;
DIFF CONFIG FROM VERSION :r0 TO VERSION :r3;
DIFF CONFIG FROM VERSION :r3 TO VERSION :r3;
-- refused
DIFF CONFIG FROM VERSION 2 TO VERSION 1;
DIFF CONFIG FROM VERSION 1 TO VERSION 999999999;
SELECT key FROM sys.config AS OF VERSION 999999999;
SELECT * FROM sys.certs AS OF VERSION 1;
CREATE ROLE eve LOGIN PASSWORD 'open sesame';
GRANT SELECT ON CONFIG 'tcp/keepalive' TO eve;
\c - eve
DIFF CONFIG FROM VERSION 0 TO VERSION 1;
SELECT key, value FROM sys.config AS OF VERSION :r2;
