-- The state of an emulator. A change of it raises SCHEMA_VERSION in database.py.

CREATE TABLE collections (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    data_access INTEGER NOT NULL
);
CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,      -- SHA-256: the state file holds no token that could be used
    client_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    resource_server TEXT NOT NULL,
    scope TEXT NOT NULL,
    is_refresh INTEGER NOT NULL,
    issued_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    parent TEXT                   -- digest of the refresh token or code that it came from
) WITHOUT ROWID;
CREATE INDEX tokens_of_parent ON tokens (parent);
CREATE INDEX expiring_tokens ON tokens (expires_at);
CREATE TABLE consents (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL,
    client_id TEXT NOT NULL,      -- the client at the root of its tree
    parent INTEGER NOT NULL,      -- 0 at the root
    scope_name TEXT NOT NULL,
    optional INTEGER NOT NULL,
    allows_refresh INTEGER NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    UNIQUE (identity, client_id, parent, scope_name)
);
CREATE TABLE identities (         -- users who have logged in, and clients
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    name TEXT,
    email TEXT,
    organization TEXT,
    is_client INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE logins (             -- pages that wait for a person, and codes that wait for their client
    digest TEXT PRIMARY KEY,
    is_code INTEGER NOT NULL,
    request TEXT NOT NULL,        -- JSON
    identity TEXT,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE signing_keys (       -- what signs id_tokens; there is one, made when it is first needed
    kid TEXT PRIMARY KEY,
    pem TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE clients (            -- instances that native clients have registered
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    template TEXT NOT NULL,
    credential TEXT NOT NULL,     -- UUID of its secret
    digest TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,           -- TRANSFER | DELETE
    owner_id TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    source_endpoint TEXT NOT NULL,
    destination_endpoint TEXT,    -- of a TRANSFER only
    label TEXT,
    status TEXT NOT NULL,         -- ACTIVE <-> INACTIVE -> SUCCEEDED | FAILED, see model.TRANSITIONS
    options TEXT NOT NULL,        -- JSON
    request_time REAL NOT NULL,
    completion_time REAL,
    deadline REAL NOT NULL,       -- as documents show it
    expires_at REAL NOT NULL,     -- the same with the time scale applied
    deadline_fixed INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    canceled_by_admin TEXT,       -- SOURCE | DESTINATION | BOTH
    canceled_by_admin_message TEXT,
    is_paused INTEGER NOT NULL DEFAULT 0,
    pause_message TEXT,           -- of who paused this very task
    is_held_inactive INTEGER NOT NULL DEFAULT 0,
    history_deleted INTEGER NOT NULL DEFAULT 0,
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
CREATE INDEX unfinished_tasks ON tasks (number) WHERE completion_time IS NULL;
CREATE INDEX tasks_with_history ON tasks (completion_time) WHERE completion_time IS NOT NULL AND NOT history_deleted;
CREATE TABLE pause_rules (        -- times are seconds since the epoch
    id TEXT PRIMARY KEY,
    endpoint_id TEXT NOT NULL,
    identity_id TEXT,             -- NULL: everybody
    message TEXT NOT NULL,
    start_time REAL,              -- as documents show it; NULL: at once
    starts_at REAL NOT NULL,      -- the same with the time scale applied
    modified_by_id TEXT NOT NULL,
    modified_time REAL NOT NULL,
    paused TEXT NOT NULL          -- JSON: what it pauses, see pausing.PAUSABLE
) WITHOUT ROWID;
CREATE TABLE admin_cancels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT NOT NULL,
    task_ids TEXT NOT NULL        -- JSON
);
CREATE TABLE work (
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,           -- item -> file | directory, once it was looked at; see model.Kind
    outcome TEXT NOT NULL,        -- pending -> moving | deleting -> done | unchanged | skipped
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
CREATE TABLE bundles (            -- plain items that the task has not come to yet, see bundles.py
    task INTEGER NOT NULL,
    first INTEGER NOT NULL,       -- the seq of the first
    items BLOB NOT NULL,          -- JSON
    UNIQUE (task, first)
);
CREATE TABLE moved_bundles (      -- those of which every item was moved
    task INTEGER NOT NULL,
    first INTEGER NOT NULL,
    algorithm TEXT,
    files BLOB NOT NULL,          -- JSON
    UNIQUE (task, first)
);
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
CREATE TABLE injected_faults (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL,       -- JSON, see injection/model.py
    matched INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE timers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL,
    client_id TEXT NOT NULL,      -- whose consents its runs need
    status TEXT NOT NULL,         -- new -> loaded <-> inactive -> ended, see timers/model.TRANSITIONS
    name TEXT,
    start REAL NOT NULL,          -- real, as all times are, with the time scale applied
    ends_at REAL,
    count INTEGER,
    interval INTEGER,             -- seconds of Globus time
    schedule TEXT NOT NULL,       -- JSON, as the client has put it
    body TEXT NOT NULL,           -- JSON
    callback_url TEXT NOT NULL,
    callback_body TEXT,           -- JSON
    scope TEXT,
    submitted_at REAL NOT NULL,
    next_run REAL,
    last_ran_at REAL,
    number_of_runs INTEGER NOT NULL DEFAULT 0,
    number_of_errors INTEGER NOT NULL DEFAULT 0,
    inactive_cause TEXT,
    inactive_detail TEXT          -- JSON
);
CREATE INDEX timers_of_owner ON timers (owner_id, number);
CREATE INDEX timers_due ON timers (next_run) WHERE status IN ('new', 'loaded');
CREATE INDEX timers_to_settle ON timers (status) WHERE status IN ('new', 'delete_in_progress');
CREATE TABLE timer_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    timer INTEGER NOT NULL,
    submission_id TEXT NOT NULL UNIQUE,
    label TEXT,
    state TEXT NOT NULL,          -- starting -> started | failed
    attempts INTEGER NOT NULL DEFAULT 0,
    start_timestamp REAL NOT NULL,
    ran_at REAL,
    http_status INTEGER,
    error TEXT,                   -- JSON
    task INTEGER
);
CREATE INDEX runs_of_timer ON timer_runs (timer, number);
CREATE UNIQUE INDEX starting_run ON timer_runs (timer) WHERE state = 'starting';
