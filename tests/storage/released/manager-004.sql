-- SPDX-License-Identifier: MIT
-- A manager's file as schema 4 wrote it. Never changed: what was released stays as it was.
PRAGMA application_id = 2020240689;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE accounts (
    key          TEXT NOT NULL PRIMARY KEY,   -- RFC 8265 UsernameCaseMapped
    username     TEXT NOT NULL,               -- the registered spelling
    salt         BLOB NOT NULL,
    iterations   INTEGER NOT NULL,
    stored_key   BLOB NOT NULL,
    server_key   BLOB NOT NULL,
    bio          TEXT NOT NULL,
    updated_at   INTEGER NOT NULL,            -- of the bio
    last_session INTEGER NOT NULL DEFAULT 0   -- only ever rises
, revoked INTEGER NOT NULL DEFAULT 0);
INSERT INTO "accounts" VALUES('esa','Esa',X'0011',15000,X'0102',X'0304','di pantai',1700000000000,7,5);
INSERT INTO "accounts" VALUES('fajar','fajar',X'0022',4096,X'0506',X'0708','',1700000000001,0,0);
CREATE TABLE bans (
    key          TEXT NOT NULL PRIMARY KEY REFERENCES accounts (key) ON DELETE CASCADE,
    reason       TEXT NOT NULL,               -- as its user reads it; may be empty
    since        INTEGER NOT NULL,
    until        INTEGER                      -- NULL: until it is lifted
) WITHOUT ROWID;
INSERT INTO "bans" VALUES('fajar','spam',1700000000004,1900000000000);
CREATE TABLE invitations (
    id           BLOB NOT NULL PRIMARY KEY,
    used         INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "invitations" VALUES(X'AA',2,1800000000000);
CREATE TABLE mailbox (
    row          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order; a number is never used again
    recipient    TEXT NOT NULL REFERENCES accounts (key) ON DELETE CASCADE,
    resource     TEXT NOT NULL,                      -- of a full address, else empty
    sender       TEXT NOT NULL,                      -- key of the sending user
    id           TEXT NOT NULL,                      -- the message's own
    stored_at    INTEGER NOT NULL,
    frame        BLOB NOT NULL,                      -- the message as it came
    UNIQUE (recipient, sender, id)
);
INSERT INTO "mailbox" VALUES(1,'fajar','','esa','m1',1700000000003,X'7B227374616E7A61223A226D657373616765222C2266726F6D223A22457361222C22746F223A2266616A6172222C22626F6479223A2268616C6F222C226964223A226D31227D');
CREATE TABLE relays (
    relay_id     TEXT NOT NULL PRIMARY KEY,
    number       INTEGER NOT NULL UNIQUE,     -- of its name: relay1, relay2, ...
    ip_local     TEXT NOT NULL,
    port         INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL
, live INTEGER NOT NULL DEFAULT 0);
INSERT INTO "relays" VALUES('77d0',1,'10.0.0.5',5002,1700000000002,1);
CREATE TABLE removed (
    last_session INTEGER NOT NULL
);
INSERT INTO "removed" VALUES(41);
CREATE TABLE roster (
    owner        TEXT NOT NULL REFERENCES accounts (key) ON DELETE CASCADE,
    contact      TEXT NOT NULL REFERENCES accounts (key) ON DELETE CASCADE,
    subscription TEXT NOT NULL CHECK (subscription IN ('to', 'from', 'both')),
    name         TEXT NOT NULL,
    PRIMARY KEY (owner, contact)
) WITHOUT ROWID;
INSERT INTO "roster" VALUES('esa','fajar','to','Jar');
INSERT INTO "roster" VALUES('fajar','esa','from','Esa');
CREATE INDEX roster_contact ON roster (contact);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('mailbox',1);
COMMIT;
