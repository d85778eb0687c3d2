-- The state of an emulator. A change of it raises SCHEMA_VERSION in database.py.

CREATE TABLE collections (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    data_access INTEGER NOT NULL
);
CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,      -- SHA-256: the state file holds no token that could be used
    client_id TEXT NOT NULL,
    resource_server TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    source_endpoint TEXT NOT NULL,
    destination_endpoint TEXT NOT NULL,
    label TEXT,
    status TEXT NOT NULL,         -- ACTIVE -> SUCCEEDED | FAILED, see model.TRANSITIONS
    options TEXT NOT NULL,        -- JSON
    request_time REAL NOT NULL,
    completion_time REAL,
    deadline REAL NOT NULL,       -- as documents show it
    expires_at REAL NOT NULL,     -- the same with the time scale applied
    deadline_fixed INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    ready_at REAL NOT NULL,
    error_code TEXT,
    error_time REAL,
    fatal_code TEXT,
    fatal_description TEXT,
    files INTEGER NOT NULL DEFAULT 0,
    directories INTEGER NOT NULL DEFAULT 0,
    symlinks INTEGER NOT NULL DEFAULT 0,
    files_skipped INTEGER NOT NULL DEFAULT 0,
    files_transferred INTEGER NOT NULL DEFAULT 0,
    bytes_transferred INTEGER NOT NULL DEFAULT 0,
    bytes_checksummed INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    subtasks_total INTEGER NOT NULL DEFAULT 0,
    subtasks_succeeded INTEGER NOT NULL DEFAULT 0,
    subtasks_skipped_errors INTEGER NOT NULL DEFAULT 0,
    subtasks_canceled INTEGER NOT NULL DEFAULT 0,
    subtasks_expired INTEGER NOT NULL DEFAULT 0,
    subtasks_failed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner_id, submission_id)
);
CREATE INDEX unfinished_tasks ON tasks (number) WHERE status = 'ACTIVE';
CREATE TABLE work (
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,           -- item -> file | directory, once it was looked at
    outcome TEXT NOT NULL,        -- pending -> moving -> done | unchanged | skipped
    source_path TEXT NOT NULL,
    destination_path TEXT NOT NULL,
    recursive INTEGER,
    external_checksum TEXT,
    checksum_algorithm TEXT,
    checksum TEXT,
    size INTEGER,
    error_code TEXT,
    error_details TEXT,
    error_time REAL,
    PRIMARY KEY (task, seq)
) WITHOUT ROWID;
CREATE TABLE claims (             -- the pairs of paths of unfinished tasks; its key is what makes a 409
    pair BLOB PRIMARY KEY,
    task INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claims_of_task ON claims (task);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL,
    time REAL NOT NULL,
    code TEXT NOT NULL,
    is_error INTEGER NOT NULL,
    details TEXT NOT NULL,
    backs_off INTEGER NOT NULL
);
CREATE INDEX events_of_task ON events (task, number);
