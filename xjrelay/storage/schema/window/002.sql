-- SPDX-License-Identifier: MIT
-- Who has proved which key on a direct link: so that a user and a peer are known to be one. The last
-- proof of a contact counts.

CREATE TABLE proofs (
    contact      TEXT NOT NULL PRIMARY KEY,
    peer_id      TEXT NOT NULL,               -- the id of the other one's key
    own          TEXT NOT NULL,               -- the id of ours that it was shown, or empty
    servers      TEXT NOT NULL,               -- the tracker of both users
    proved_at    INTEGER NOT NULL
);
