-- Certificates: what can be said about one, and what becomes of its generations.
CREATE AUTHORITY ca;
CREATE AUTHORITY ca2 WITH (key_type = 'ed25519');
CREATE STRATEGY safe AS CANARY 10% FOR '1 s' THEN 100%;
CREATE CERT a FROM AUTHORITY ca SANS ('a.example', '*.a.example', '10.0.0.1');
CREATE CERT b FROM AUTHORITY ca2 SUBJECT 'CN=b,O=Example' SANS ('b.example') VALID FOR '10 days' RENEW BEFORE '3 days' USING STRATEGY safe WHERE label('tier') = 'edge' AND region = 'eu';
CREATE CERT c FROM AUTHORITY ca SANS ('c.example') WITH (key_type = 'ed25519', shared = 'region', overlap = '1 day');
CREATE CERT d FROM AUTHORITY ca SANS ('d.example') WITH (shared = 'global', valid_for = '5 days', renew_before = '1 day', strategy = 'safe', subject = 'CN=dd');
CREATE CERT e FROM AUTHORITY ca SANS ('e.example') WITH (shared = off) WHERE label('tier') IN ('a', 'b') OR NOT (node_id LIKE 'n%') OR label('x') IS NOT NULL OR region BETWEEN 'a' AND 'f';
SHOW CERTS;
SELECT name, subject, sans, key_type, mode, strategy, target FROM sys.certs ORDER BY name;
SHOW CERT d;
SELECT cert, generation, state, authority_generation, spki_hash IS NULL AS per_node FROM sys.cert_generations ORDER BY cert;
SELECT name, not_after - renew_at AS before FROM sys.certs WHERE name = 'b';
-- refused
CREATE CERT a FROM AUTHORITY ca SANS ('a.example');
CREATE CERT IF NOT EXISTS a FROM AUTHORITY ca SANS ('a.example');
CREATE CERT f FROM AUTHORITY nothing SANS ('f.example');
CREATE CERT f FROM AUTHORITY ca SANS ('not a name');
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') VALID FOR '10 s';
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') VALID FOR '10 days' RENEW BEFORE '20 days';
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') VALID FOR '10 days' VALID FOR '11 days';
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') USING STRATEGY nothing;
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WITH (key_type = 'rsa');
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WITH (shared = 'world');
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WITH (colour = 'red');
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WHERE load > 3;
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WHERE label('tier') = region || 'x';
CREATE CERT f FROM AUTHORITY ca SANS ('f.example') WHERE region IN (SELECT region FROM sys.regions);
CREATE CERT f FROM AUTHORITY ca SUBJECT 'nonsense' SANS ('f.example');
EXPLAIN CREATE CERT f FROM AUTHORITY ca SANS ('f.example');
-- changes
ALTER CERT a SET (valid_for = '20 days', renew_before = '5 days', subject = 'CN=other', strategy = 'safe', key_type = 'ed25519', overlap = '2 h');
SELECT name, subject, key_type, strategy FROM sys.certs WHERE name = 'a';
ALTER CERT a SET (shared = 'region');
ALTER CERT a SET (strategy = 'nothing');
ALTER CERT a SET (renew_before = '30 days');
ALTER CERT a SET (colour = 'red');
ALTER CERT nothing SET (valid_for = '20 days');
EXPLAIN ALTER CERT a SET (valid_for = '30 days');
-- a generation revoked: nothing to go back to
REVOKE CERT a GENERATION 7;
REVOKE CERT a REASON 'key compromise';
SELECT generation, state FROM sys.certs WHERE name = 'a';
SELECT generation, state FROM sys.cert_generations WHERE cert = 'a';
REVOKE CERT a GENERATION 1;
REVOKE CERT nothing;
EXPLAIN REVOKE CERT b;
-- no node carries it: the new generation is for those to come
ROTATE CERT b IMMEDIATE;
ROTATE CERT c;
ROTATE CERT a TO GENERATION 1 IMMEDIATE;
ROTATE CERT a TO GENERATION 9 IMMEDIATE;
ROTATE CERT b TO GENERATION 1 IMMEDIATE;
-- drop and again: numbers go on
DROP STRATEGY safe;
DROP CERT c REASON 'no longer used';
DROP CERT c;
DROP CERT IF EXISTS c;
SHOW CERT c;
CREATE CERT c FROM AUTHORITY ca SANS ('c.example') WITH (shared = on);
SELECT name, generation, mode FROM sys.certs WHERE name = 'c';
EXPLAIN DROP CERT c;
-- the authority goes to its next generation: what comes is signed by it
ALTER AUTHORITY ca PREPARE;
ALTER AUTHORITY ca ACTIVATE;
CREATE CERT g FROM AUTHORITY ca SANS ('g.example');
SELECT cert, authority_generation FROM sys.cert_generations WHERE cert IN ('c', 'g') ORDER BY 1;
ALTER AUTHORITY ca REVOKE REASON 'leak';
SELECT name, generation, state FROM sys.authorities WHERE name = 'ca' ORDER BY 2;
