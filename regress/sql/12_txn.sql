-- Transactions: what goes together, what does not, and when it is seen.
CREATE AUTHORITY ca;
BEGIN;
CREATE CERT one FROM AUTHORITY ca SANS ('one.example');
CREATE CERT two FROM AUTHORITY ca SANS ('two.example');
SELECT count(*) FROM sys.certs;
COMMIT;
SELECT name FROM sys.certs ORDER BY 1;
SELECT count(DISTINCT height) AS blocks FROM sys.history WHERE object_kind = 'cert';
-- ring and attested data never together
BEGIN;
SET CONFIG 'a' = 1;
CREATE CERT three FROM AUTHORITY ca SANS ('three.example');
COMMIT;
BEGIN;
CREATE CERT three FROM AUTHORITY ca SANS ('three.example');
SET CONFIG 'a' = 1;
COMMIT;
BEGIN;
SET CONFIG 'a' = 1;
SET CONFIG 'security/a' = 1;
COMMIT;
SELECT count(*) FROM sys.config;
SELECT count(*) FROM sys.certs;
-- the same object twice
BEGIN;
ALTER CERT one SET (overlap = '1 h');
ALTER CERT one SET (overlap = '2 h');
ROLLBACK;
BEGIN;
CREATE CERT three FROM AUTHORITY ca SANS ('three.example');
CREATE CERT three FROM AUTHORITY ca SANS ('three.example');
ROLLBACK;
-- an authority and its first certificate cannot be born together: the signer makes the key first
BEGIN;
CREATE AUTHORITY cb;
CREATE CERT four FROM AUTHORITY cb SANS ('four.example');
ROLLBACK;
-- errors end the block
BEGIN;
SET CONFIG 'b' = 1;
SHOW NOTHING;
SET CONFIG 'b' = 2;
SELECT 1;
COMMIT;
SELECT count(*) FROM sys.config WHERE key = 'b';
-- several statements in one string are one transaction
SET CONFIG 's1' = 1\; SET CONFIG 's2' = 2;
SELECT count(DISTINCT version) AS versions FROM sys.config WHERE key LIKE 's_';
SET CONFIG 's3' = 1\; SELECT 1 / 0;
SELECT count(*) FROM sys.config WHERE key = 's3';
SET CONFIG 's4' = 1\; CREATE CERT five FROM AUTHORITY ca SANS ('five.example');
-- a commit that is refused: nothing of it happened
BEGIN;
CREATE ROLE r1;
CREATE ROLE r1;
COMMIT;
SELECT name FROM sys.roles WHERE name = 'r1';
-- roles, grants and settings together
BEGIN;
CREATE ROLE r1;
CREATE ROLE r2 IN ROLE r1;
GRANT SELECT ON ALL CERTS TO r1;
ALTER SYSTEM SET rollout_default_bake = '1 min';
SET CONFIG 'c' = 1;
CREATE STRATEGY st AS IMMEDIATE;
COMMIT;
SELECT count(DISTINCT version) AS versions, count(*) AS rows FROM sys.history WHERE object IN ('r1', 'r2', 'c', 'st', 'rollout_default_bake');
-- read only
BEGIN READ ONLY;
SET CONFIG 'd' = 1;
ROLLBACK;
START TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SHOW transaction_isolation;
COMMIT AND CHAIN;
ROLLBACK;
-- the words
COMMIT;
ROLLBACK;
BEGIN;
BEGIN;
ROLLBACK;
SAVEPOINT a;
BEGIN;
SAVEPOINT a;
ROLLBACK TO a;
ROLLBACK;
RELEASE a;
PREPARE TRANSACTION 'x';
END;
ABORT;
-- in a failed block even ROLLBACK ROLLOUT is not an end
BEGIN;
SELECT 1 / 0;
ROLLBACK ROLLOUT 1;
SELECT 1;
ROLLBACK;
SELECT 1 AS fine;
-- more than one transaction takes
SELECT 1 AS done;
