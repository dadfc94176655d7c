-- SPDX-License-Identifier: MIT
-- The mailbox, and which relays were here. Times are milliseconds since the epoch.

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

ALTER TABLE relays ADD COLUMN live INTEGER NOT NULL DEFAULT 0;  -- linked, or lost and not given up
