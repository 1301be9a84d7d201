create table publications (
    id bigint generated always as identity primary key,
    user_id bigint references users on delete set null,
    user_name text not null,
    revision text not null,
    state text not null check (state in ('running', 'in_force', 'partly', 'refused', 'failed')),
    reason text not null default '',
    servers integer not null,
    created_at timestamptz not null default now(),
    finished_at timestamptz
);
comment on table publications is 'Acts of writing configuration and having Prometheus load it.';
comment on column publications.user_name is 'Who published, kept when the account goes; "command line" for prommgr publish.';
comment on column publications.revision is 'SHA-256 over all files, in hexadecimal.';
comment on column publications.state is 'in_force: every Prometheus has it. partly: some have. refused: none took it, the old files were put back. failed: it did not come to a reload.';

create table blobs (
    sha256 bytea primary key,
    content text not null
);
comment on table blobs is 'The bytes of published files, each content once.';

create table publication_files (
    publication_id bigint not null references publications on delete cascade,
    path text collate "C" not null,
    sha256 bytea not null references blobs,
    change text not null check (change in ('added', 'changed', 'same')),
    primary key (publication_id, path)
);
create index publication_files_sha256_idx on publication_files (sha256);
comment on table publication_files is 'Every file of a publication, changed or not: what folders and HTTP SD serve.';

create table publication_results (
    publication_id bigint not null references publications on delete cascade,
    prometheus text not null,
    state text not null check (state in ('in_force', 'refused', 'unreachable', 'unverified')),
    reason text not null default '',
    took_ms integer not null,
    primary key (publication_id, prometheus)
);
comment on table publication_results is 'What each Prometheus answered.';
comment on column publication_results.prometheus is 'Its URL without credentials.';

create table pending_changes (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    owner_id bigint references owners,
    user_name text not null,
    summary text not null
);
comment on table pending_changes is 'What was changed since the last publication, in words. Written with the change; a publication that is in force removes what its snapshot saw, so that a change committed meanwhile stays pending.';
