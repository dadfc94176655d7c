-- SPDX-License-Identifier: MIT
-- What a window has shown of one account: lines, and how far each conversation was read. Times are
-- milliseconds since the epoch.

CREATE TABLE lines (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    contact      TEXT NOT NULL,               -- the other one's key
    incoming     INTEGER NOT NULL CHECK (incoming IN (0, 1)),
    message_id   TEXT NOT NULL,
    text         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('sending', 'stored', 'delivered', 'failed', 'received')),
    why          TEXT NOT NULL
);

-- A message that comes twice is one line.
CREATE UNIQUE INDEX lines_once ON lines (contact, incoming, message_id);
CREATE INDEX lines_of ON lines (contact, number);
CREATE INDEX lines_under_way ON lines (number) WHERE state = 'sending';

CREATE TABLE contacts (
    contact      TEXT NOT NULL PRIMARY KEY,
    spelling     TEXT NOT NULL,
    read_to      INTEGER NOT NULL             -- the number of the last line that was read
);
