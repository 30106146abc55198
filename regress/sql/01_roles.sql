-- Roles, memberships and grants: what is refused, and what a grant changes.
CREATE ROLE alice LOGIN PASSWORD 'open sesame';
CREATE ROLE bob LOGIN PASSWORD 'open sesame' VALID UNTIL '2099-01-01' CONNECTION LIMIT 5;
CREATE ROLE ops;
CREATE ROLE crew IN ROLE ops;
CREATE USER carol PASSWORD 'open sesame' IN ROLE crew;
CREATE ROLE alice;
CREATE ROLE IF NOT EXISTS alice;
CREATE ROLE sys_mine;
CREATE ROLE public;
CREATE ROLE "";
CREATE ROLE short VALID UNTIL 'yesterday-ish';
CREATE ROLE short CONNECTION LIMIT -2;
CREATE ROLE x PASSWORD '';
SHOW ROLES;
SELECT rolname, rolsuper, rolcanlogin, rolpassword FROM pg_roles WHERE rolname IN ('alice', 'ops') ORDER BY 1;
-- objects to ask about
CREATE AUTHORITY ca;
CREATE CERT web FROM AUTHORITY ca SANS ('web.example');
CREATE CERT db FROM AUTHORITY ca SANS ('db.example');
SET CONFIG 'http/port' = 80;
CREATE STRATEGY slow AS CANARY 10% FOR '1 h' THEN 100%;

-- nobody's rights
\c - alice
SELECT current_user, session_user;
SHOW CERTS;
SHOW AUTHORITIES;
SHOW ROLLOUTS;
SHOW NODES;
SHOW CONFIG;
SHOW JOIN_TOKENS;
SELECT count(*) FROM sys.cert_generations;
SELECT count(*) FROM sys.rollout_waves;
SELECT count(*) FROM sys.rollout_nodes;
SELECT count(*) FROM sys.rollout_events;
SELECT count(*) FROM sys.rollout_regions;
SELECT count(*) FROM sys.workloads;
SELECT count(*) FROM sys.history;
SELECT count(*) FROM sys.chain;
SELECT count(*) FROM sys.certs, sys.roles;
SELECT name FROM sys.roles WHERE EXISTS (SELECT 1 FROM sys.certs);
-- what everybody may see: who is who, what the server is, one's own session
SELECT count(*) > 0 FROM sys.roles;
SELECT count(*) FROM sys.grants;
SELECT count(*) > 0 FROM sys.settings;
SELECT count(*) FROM sys.issues;
SELECT name FROM sys.strategies WHERE name = 'slow';
ROTATE CERT web IMMEDIATE;
SET CONFIG 'http/port' = 81;
RESET CONFIG 'http/port';
CREATE AUTHORITY mine;
ALTER AUTHORITY ca PREPARE;
DROP AUTHORITY ca;
CREATE CERT mine FROM AUTHORITY ca SANS ('m.example');
ALTER CERT web SET (valid_for = '10 d');
REVOKE CERT web;
DROP CERT web;
CREATE STRATEGY mine AS IMMEDIATE;
DROP STRATEGY slow;
CREATE WINDOW w WITH (cron = '0 3 * * *', duration = '1 h');
CREATE JOIN_TOKEN;
REVOKE JOIN_TOKEN '0011223344556677';
ALTER NODE 'n-000123' DRAIN;
ALTER NODES WHERE region = 'eu' DRAIN;
DROP NODE 'n-000123';
REVOKE NODE 'n-000123';
ALTER REGION eu FREEZE;
ALTER SYSTEM SET log_level = 'debug';
RELOAD CONFIGURATION;
CREATE ROLE mine;
ALTER ROLE bob PASSWORD 'x';
DROP ROLE bob;
GRANT SELECT ON SYSTEM TO alice;
GRANT ops TO alice;
REVOKE SELECT ON SYSTEM FROM bob;
CANCEL QUERY 1;
TERMINATE SESSION 1;
EXPLAIN ROTATE CERT web;
SET ROLE admin;
SET SESSION AUTHORIZATION bob;
SET require_reason = on;
ALTER ROLE alice PASSWORD 'open sesame';
ALTER ROLE alice SUPERUSER;

-- one object
\c - admin
GRANT SELECT, ROTATE ON CERT web TO alice;
GRANT CONFIGURE ON CONFIG 'http/port' TO alice;
GRANT FLY ON CERT web TO alice;
GRANT SELECT ON CERT web TO nobody;
GRANT SELECT ON CERT nothing TO alice;
SHOW GRANTS;
SELECT * FROM sys.grants ORDER BY grantee, object_kind;
\c - alice
EXPLAIN ROTATE CERT web;
EXPLAIN ROTATE CERT db;
SET CONFIG 'http/port' = 81;
SET CONFIG 'http/other' = 81;
SHOW CERTS;
SHOW CERT web;
SELECT name FROM sys.certs WHERE name = 'web';

-- all objects of a kind, in the region, through membership of a member
\c - admin
GRANT SELECT ON ALL CERTS TO ops;
GRANT SELECT ON ALL CONFIG IN REGION eu TO ops;
GRANT ROTATE ON ALL CERTS TO crew;
\c - carol
SELECT name FROM sys.certs ORDER BY 1;
SELECT count(*) FROM sys.config;
EXPLAIN ROTATE CERT db;
SHOW NODES;
\c - admin
REVOKE crew FROM carol;
\c - carol
SHOW CERTS;
\c - admin
GRANT ops TO carol;
\c - carol
SELECT name FROM sys.certs ORDER BY 1;
EXPLAIN ROTATE CERT db;
\c - admin
REVOKE SELECT ON ALL CERTS FROM ops;
\c - carol
SHOW CERTS;
SET ROLE ops;
SELECT current_user, session_user;
RESET ROLE;
SELECT current_user;
SET ROLE crew;

-- circles
\c - admin
GRANT crew TO ops;
GRANT ops TO ops;
GRANT alice TO nobody;

-- the predefined roles
GRANT sys_auditor TO alice;
\c - alice
SELECT count(*) > 0 FROM sys.history;
SELECT count(*) > 0 FROM sys.chain;
SET CONFIG 'http/z' = 1;
\c - admin
REVOKE sys_auditor FROM alice;
GRANT sys_read_all TO alice;
\c - alice
SELECT count(*) FROM sys.certs;
SELECT count(*) FROM sys.nodes;
SELECT count(*) FROM sys.config;
SELECT count(*) FROM sys.authorities;
SELECT count(*) FROM sys.history;
CREATE JOIN_TOKEN;
SET CONFIG 'http/z' = 1;
\c - admin
REVOKE sys_read_all FROM alice;
GRANT sys_operator TO alice;
\c - alice
SET CONFIG 'http/z' = 1;
EXPLAIN ROTATE CERT db IMMEDIATE;
CREATE STRATEGY mine AS IMMEDIATE;
DROP STRATEGY mine;
CREATE CERT mine FROM AUTHORITY ca SANS ('m.example');
GRANT SELECT ON SYSTEM TO alice;
SELECT count(*) FROM sys.history;
\c - admin
REVOKE sys_operator FROM alice;
DROP ROLE sys_operator;
ALTER ROLE sys_operator LOGIN;

-- who may manage roles: never more than one has
ALTER ROLE bob CREATEROLE;
\c - bob
CREATE ROLE dave;
CREATE ROLE evil SUPERUSER;
ALTER ROLE admin PASSWORD 'mine now';
DROP ROLE admin;
GRANT admin TO bob;
GRANT sys_operator TO bob;
GRANT ops TO bob;
CREATE ROLE evil IN ROLE sys_operator;
ALTER ROLE dave LOGIN;
GRANT dave TO alice;
DROP ROLE dave;
\c - admin
GRANT ALL ON SYSTEM TO bob;
\c - bob
GRANT SELECT ON SYSTEM TO alice;
CREATE AUTHORITY bobs;
ALTER SYSTEM SET log_level = 'debug';
\c - alice
SELECT name FROM sys.certs ORDER BY 1;
\c - admin
REVOKE ALL ON SYSTEM FROM bob, alice;
\c - alice
SHOW CERTS;

-- changes count at once (in open sessions too: regress/interop/sessions.t)
\c - admin
ALTER ROLE alice NOLOGIN;
SELECT name, login FROM sys.roles WHERE name = 'alice';
DROP ROLE alice;
DROP ROLE alice;
DROP ROLE IF EXISTS alice;
DROP ROLE admin;
SELECT grantee FROM sys.grants WHERE grantee = 'alice';
ALTER ROLE nobody LOGIN;
CREATE ROLE second SUPERUSER LOGIN PASSWORD 'open sesame';
\c - second
DROP ROLE admin;
DROP ROLE second;
