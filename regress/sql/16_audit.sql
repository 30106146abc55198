-- The signed history: what can be asked of it, and who may. What is exported is verified in regress/cluster/072_audit.t.
CREATE AUTHORITY ca;
CREATE CERT web FROM AUTHORITY ca SANS ('web.example');
VERIFY HISTORY;
VERIFY HISTORY FROM VERSION 1 TO VERSION 2;
VERIFY HISTORY SINCE '2020-01-01';
-- versions that are not there
VERIFY HISTORY FROM VERSION 0 TO VERSION 812;
VERIFY HISTORY FROM VERSION 2 TO VERSION 1;
VERIFY HISTORY FROM VERSION -1 TO VERSION 1;
VERIFY HISTORY SINCE '2999-01-01';
VERIFY HISTORY SINCE 'soon';
SHOW PROOF FOR VERSION 812;
COPY HISTORY FROM VERSION 0 TO VERSION 812 TO STDOUT;
COPY HISTORY FROM VERSION 2 TO VERSION 1 TO STDOUT WITH (format = 'bundle');
-- forms
COPY HISTORY TO STDOUT WITH (format = 'csv');
COPY HISTORY TO STDOUT WITH (foramt = 'bundle');
COPY HISTORY TO STDOUT WITH (format = 'proof');
COPY HISTORY FROM VERSION 0 TO VERSION 1 TO STDOUT WITH (format = 'leaf');
COPY HISTORY FROM VERSION 0 TO VERSION 1 TO STDOUT WITH (format = 'policy');
COPY HISTORY FROM VERSION 1 TO VERSION 2 TO STDOUT WITH (format = 'consistency');
-- in blocks, as prepared statements, read-only
BEGIN; VERIFY HISTORY; ROLLBACK;
PREPARE v AS VERIFY HISTORY FROM VERSION $1 TO VERSION $2;
EXECUTE v (0, 1);
DEALLOCATE v;
BEGIN READ ONLY; VERIFY HISTORY; CREATE CHECKPOINT; ROLLBACK;
-- AUDIT on the system is needed; the role sys_auditor has it
CREATE ROLE eve LOGIN PASSWORD 'open sesame';
CREATE ROLE ada LOGIN PASSWORD 'open sesame' IN ROLE sys_auditor;
\c - eve
SHOW PROOF FOR VERSION 1;
VERIFY HISTORY;
CREATE CHECKPOINT;
COPY HISTORY TO STDOUT;
\c - ada
VERIFY HISTORY;
-- before and after
\c - admin
ALTER CERT web SET (overlap = '1 h');
SET CONFIG 'security/level' = 'high' IMMEDIATE REASON 'attested by its digest';
SET client_min_messages = warning;
WAIT FOR ROLLOUT 1 UNTIL succeeded;
REVOKE CERT web REASON 'lost';
DROP CERT web;
SELECT action, object_kind, object, object_version, before, after FROM sys.history WHERE log = 'global' ORDER BY version;
SELECT count(*) FROM sys.history WHERE log = 'global' AND object = 'web' AND before IS NOT NULL;
