-- SPDX-License-Identifier: MIT
-- Every manager and relay a tracker has seen. Times are milliseconds since the epoch.

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
