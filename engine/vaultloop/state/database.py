"""The engine's SQLite file: one process writes it, every change is one immediate transaction."""

from vaultloop.state.sqlite_file import Form, SqliteFile

# One entry per schema version, never edited once released: a database is brought forward step by step.
MIGRATIONS = (
    """
    CREATE TABLE inbox (
        channel TEXT NOT NULL, chat TEXT NOT NULL, message TEXT NOT NULL,
        person TEXT NOT NULL, text TEXT NOT NULL, sent_at TEXT NOT NULL, received_at TEXT NOT NULL,
        fate TEXT NOT NULL,            -- waiting, turn, command, refused, ignored
        turn TEXT,                     -- the turn it became part of
        PRIMARY KEY (channel, chat, message)
    ) STRICT;
    CREATE INDEX inbox_waiting ON inbox (fate) WHERE fate = 'waiting';
    CREATE INDEX inbox_turn ON inbox (turn) WHERE turn IS NOT NULL;

    CREATE TABLE turns (
        number INTEGER PRIMARY KEY,    -- the order of making
        id TEXT NOT NULL UNIQUE,       -- the session's id
        key TEXT NOT NULL UNIQUE,      -- what it answers
        conversation TEXT NOT NULL, scope TEXT NOT NULL,
        trigger_kind TEXT NOT NULL, trigger_name TEXT NOT NULL,
        prompt TEXT NOT NULL, reply_channel TEXT, reply_chat TEXT,
        state TEXT NOT NULL,           -- queued, running, answered, published, ended
        created_at TEXT NOT NULL, started_at TEXT, ended_at TEXT,
        policy TEXT, base TEXT,        -- policy id; revision the view was made of
        view TEXT,                     -- directory of the view while it is leased
        acted INTEGER NOT NULL DEFAULT 0, -- it used a tool that may have changed the world
        reply TEXT, model TEXT, cost_usd REAL NOT NULL DEFAULT 0,
        "commit" TEXT,                 -- what it published
        outcome TEXT, detail TEXT      -- how it ended, and why in a sentence
    ) STRICT;
    CREATE INDEX turns_unfinished ON turns (number) WHERE state <> 'ended';
    CREATE INDEX turns_conversation ON turns (conversation, number);

    CREATE TABLE slots (
        job TEXT NOT NULL,             -- uid of the cron
        slot TEXT NOT NULL,            -- nominal time
        turn TEXT REFERENCES turns (id),
        outcome TEXT,                  -- only for slots without a turn
        recorded_at TEXT NOT NULL,
        PRIMARY KEY (job, slot)
    ) STRICT;
    CREATE TABLE jobs (
        job TEXT PRIMARY KEY, known_since TEXT NOT NULL, considered TEXT NOT NULL,
        timetable TEXT NOT NULL DEFAULT '' -- what its slots follow: schedule and zone, or that it is paused
    ) STRICT;

    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, chat TEXT NOT NULL, text TEXT NOT NULL,
        created_at TEXT NOT NULL, delivered_at TEXT
    ) STRICT;
    CREATE INDEX outbox_waiting ON outbox (number) WHERE delivered_at IS NULL;

    CREATE TABLE status (
        kind TEXT NOT NULL, name TEXT NOT NULL,
        condition TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, since TEXT NOT NULL,
        attempted TEXT, applied TEXT,
        PRIMARY KEY (kind, name)
    ) STRICT;
    CREATE TABLE last_good (
        kind TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL,
        path TEXT NOT NULL, blob TEXT NOT NULL, text TEXT NOT NULL,
        spec TEXT NOT NULL,            -- as JSON, with what it inherits
        applied TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT;
    CREATE UNIQUE INDEX last_good_uid ON last_good (kind, uid);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
    """
    CREATE TABLE recipients (          -- who hears how a turn ended
        channel TEXT NOT NULL, chat TEXT NOT NULL,
        turn INTEGER NOT NULL REFERENCES turns (number),
        position INTEGER NOT NULL,     -- the order in which the turn names them
        PRIMARY KEY (channel, chat, turn)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX recipients_of_turn ON recipients (turn, position);
    INSERT INTO recipients
        SELECT reply_channel, reply_chat, number, 0 FROM turns WHERE reply_channel IS NOT NULL;
    ALTER TABLE turns DROP COLUMN reply_channel;
    ALTER TABLE turns DROP COLUMN reply_chat;

    ALTER TABLE turns ADD COLUMN send_when TEXT NOT NULL DEFAULT 'always';
    UPDATE turns SET send_when = 'something-to-say' WHERE trigger_kind <> 'message';
    ALTER TABLE turns ADD COLUMN stop_after REAL;       -- seconds; what the note of this work allows it
    ALTER TABLE turns ADD COLUMN budget_usd REAL;
    ALTER TABLE turns ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turns ADD COLUMN timezone TEXT NOT NULL DEFAULT 'UTC';
    ALTER TABLE turns ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE turns ADD COLUMN not_before TEXT;       -- while it is queued: when its next try may start

    CREATE TABLE transcripts (         -- what goes on: the last one of each conversation
        conversation TEXT PRIMARY KEY,
        policy TEXT NOT NULL,          -- id; under any other policy the conversation starts afresh
        id TEXT NOT NULL,              -- the agent program's own name for it
        file TEXT NOT NULL,            -- below the folder of transcripts
        spent_usd REAL NOT NULL        -- what the conversation had cost in all at its end
    ) STRICT;
    """,
    """
    ALTER TABLE slots ADD COLUMN detail TEXT; -- why a slot has no turn, a sentence
    """,
    """
    ALTER TABLE turns ADD COLUMN confinement TEXT; -- what held its agent in
    """,
    """
    CREATE TABLE publications (        -- sessions whose changes were sorted, once
        session TEXT PRIMARY KEY,
        refused TEXT NOT NULL          -- of them: paths and reasons, as JSON
    ) STRICT;
    CREATE TABLE proposals (           -- changes of what governs the agent
        number INTEGER PRIMARY KEY,
        session TEXT NOT NULL, scope TEXT NOT NULL,
        "commit" TEXT NOT NULL, base TEXT NOT NULL,
        paths TEXT NOT NULL,           -- as JSON, like the next one
        permissions TEXT NOT NULL,     -- what people may do more or less with it
        reason TEXT NOT NULL,          -- why it waits
        state TEXT NOT NULL,           -- open, approved, denied, superseded, stale; admitted needed nobody
        made_at TEXT NOT NULL,
        settled_at TEXT, settled_by TEXT,
        result TEXT                    -- the commit on the branch that took it in
    ) STRICT;
    CREATE INDEX proposals_open ON proposals (scope) WHERE state = 'open';
    CREATE INDEX proposals_session ON proposals (session);
    """,
    """
    ALTER TABLE turns ADD COLUMN parked INTEGER NOT NULL DEFAULT 0; -- while it waits: for a budget
    CREATE INDEX inbox_person ON inbox (person, received_at);
    """,
    """
    ALTER TABLE turns ADD COLUMN mounts TEXT NOT NULL DEFAULT '[]'; -- names, as JSON; empty: all of its scope
    """,
    """
    CREATE TABLE undos (               -- the owner took something back
        number INTEGER PRIMARY KEY,
        target TEXT NOT NULL,          -- a session, or the commit of an undo
        "commit" TEXT NOT NULL,        -- what takes it back; it counts once the branch has it
        asked_by TEXT NOT NULL, made_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX undos_commit ON undos ("commit");
    CREATE INDEX turns_commit ON turns ("commit") WHERE "commit" IS NOT NULL;
    CREATE INDEX slots_turn ON slots (turn) WHERE turn IS NOT NULL;
    CREATE INDEX proposals_commit ON proposals ("commit");
    CREATE INDEX proposals_result ON proposals (result) WHERE result IS NOT NULL;
    """,
)


class Database(SqliteFile):
    """An open connection.

    Commits are synchronous (`synchronous=FULL`): what was answered "taken" is on the disk. A commit takes
    some milliseconds, short enough to be made on the event loop.
    """

    form = Form(
        MIGRATIONS,
        synchronous="FULL",
        early="Start the engine with `vaultloop up`: it brings it forward.",
        damaged="Move it away, with the files beside it that begin with its name; the engine makes a "
        "new one when it starts. It holds past sessions and waiting messages, nothing of the vault.",
    )

    def fact(self, name: str) -> str | None:
        """A single remembered value."""
        found = self.row("SELECT value FROM facts WHERE name = ?", name)
        return None if found is None else str(found["value"])

    def remember(self, name: str, value: str) -> None:
        """Keep a single value; writes nothing if it is already so."""
        if self.fact(name) == value:
            return
        with self.transaction() as change:
            change.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
