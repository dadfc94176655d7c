-- SPDX-License-Identifier: MIT
-- Sessions that are ended for good, and invitations. Times are milliseconds since the epoch.

-- Sessions of the account numbered up to this are over, wherever they are: its password was changed.
ALTER TABLE accounts ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;

-- One row: the highest session number of any account that was removed. New accounts count on from
-- it, so that a name registered again revives nothing; and no removed name is kept.
CREATE TABLE removed (
    last_session INTEGER NOT NULL
);
INSERT INTO removed VALUES (0);

-- How often each invitation was used; one that nobody used has no row.
CREATE TABLE invitations (
    id           BLOB NOT NULL PRIMARY KEY,
    used         INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) WITHOUT ROWID;
