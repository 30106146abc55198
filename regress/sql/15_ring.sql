-- The ring of a region: who is in it, what ALTER RING takes, tokens for new members. Three servers: regress/cluster/040_ring.t.
SELECT member, role, lag, linked FROM sys.ring_members;
SHOW MEMBERS;
ALTER RING 'eu-west' ADD MEMBER 'ew-4' ADDRESS '10.0.0.4:7002' AS LEARNER;
ALTER RING eu ADD MEMBER 'eu-4' ADDRESS '10.0.0.4:7002' AS LEARNER;
ALTER RING eu DROP MEMBER 'eu-4';
ALTER RING eu TRANSFER LEADER TO 'eu-1';
ALTER RING eu ADD MEMBER 'eu-1' ADDRESS '10.0.0.4:7002';
ALTER RING eu DROP MEMBER 'eu-1';
EXPLAIN ALTER RING eu TRANSFER LEADER TO 'eu-1';
EXPLAIN CREATE JOIN_TOKEN WITH (kind = 'member');
CREATE JOIN_TOKEN WITH (kind = 'member', ttl = '10 min');
CREATE JOIN_TOKEN WITH (kind = 'king');
SELECT region, uses_left, created_by FROM sys.join_tokens;
SHOW MEMBERS;
SELECT linked, last_contact IS NULL AS itself, term > 0 AS termed FROM sys.ring_members;
ALTER RING eu ADD MEMBER 'eu-1' ADDRESS 'x' AS LEARNER;
ALTER RING eu ADD MEMBER 'eu-01' ADDRESS 'localhost:7434';
ALTER RING eu TRANSFER LEADER TO 'eu-2';
EXPLAIN ALTER RING eu DROP MEMBER 'eu-1';
BEGIN;
ALTER RING eu TRANSFER LEADER TO 'eu-1';
ROLLBACK;
-- Reads: a ring of one confirms them itself.
SHOW read_consistency;
SET read_consistency = 'eventual';
SET read_consistency = local;
SELECT count(*) FROM sys.config;
SET read_consistency = linearizable;
SET CONFIG 'r' = '1';
SELECT value FROM sys.config WHERE key = 'r';
-- Members are a superuser's; who may log in may look.
CREATE ROLE bob LOGIN PASSWORD 'open sesame';
\c - bob
ALTER RING eu DROP MEMBER 'eu-1';
CREATE JOIN_TOKEN WITH (kind = 'member');
SHOW MEMBERS;
SHOW ISSUES;
