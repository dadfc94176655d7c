-- SPDX-License-Identifier: MIT
-- Accounts that may not log in, until they may again. Times are milliseconds since the epoch.

CREATE TABLE bans (
    key          TEXT NOT NULL PRIMARY KEY REFERENCES accounts (key) ON DELETE CASCADE,
    reason       TEXT NOT NULL,               -- as its user reads it; may be empty
    since        INTEGER NOT NULL,
    until        INTEGER                      -- NULL: until it is lifted
) WITHOUT ROWID;
