-- SPDX-License-Identifier: MIT
-- A tracker's file as schema 1 wrote it. Never changed: what was released stays as it was.
PRAGMA application_id = 2020242481;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE components (
    component_id TEXT NOT NULL PRIMARY KEY,
    type         TEXT NOT NULL CHECK (type IN ('manager', 'relay')),
    ip_local     TEXT NOT NULL,
    port         INTEGER NOT NULL,
    is_private   INTEGER NOT NULL CHECK (is_private IN (0, 1)),
    extra        TEXT NOT NULL,   -- a JSON object: what else the hello said
    status       INTEGER NOT NULL CHECK (status IN (0, 1)),
    joined_at    INTEGER NOT NULL,
    left_at      INTEGER
);
INSERT INTO "components" VALUES('91aa','manager','10.0.0.4',5001,1,'{}',1,1700000000000,NULL);
INSERT INTO "components" VALUES('5f2c','relay','10.0.0.5',5002,1,'{"name": "one"}',0,1700000000001,1700000000002);
COMMIT;
