create table clusters (
    id integer generated always as identity primary key,
    name text not null unique,
    created_at timestamptz not null default now()
);
insert into clusters (name) values ('default');
comment on table clusters is 'Alertmanager clusters. The webhook''s token names the one that posts.';

-- The hour in front keeps neighbours in time neighbours in the index; 52 bits in all.
create sequence alerts_id_seq;
create table alerts (
    id bigint not null default (
        ((extract(epoch from clock_timestamp())::bigint - 1767225600) / 3600 << 32) | (hidden_id(nextval('alerts_id_seq'), 3) & 4294967295)
    ),
    received_at timestamptz not null default now(),
    cluster_id integer not null references clusters,
    fingerprint text collate "C" not null,
    owner_id bigint references owners,
    server_id bigint,
    owner_external_id text collate "C",
    server_external_id text collate "C",
    rule text not null,
    severity text not null,
    instance text not null,
    labels jsonb not null,
    annotations jsonb not null,
    generator_url text,
    started_at timestamptz not null,
    ended_at timestamptz,
    last_seen_at timestamptz not null,
    close_reason text,
    primary key (id, received_at),
    foreign key (owner_id, server_id) references servers (owner_id, id),
    check (server_id is null or owner_id is not null),
    check (ended_at is null or ended_at >= started_at),
    check ((ended_at is null) = (close_reason is null))
) partition by range (received_at);
alter sequence alerts_id_seq owned by alerts.id;
create table alerts_default partition of alerts default;
create index alerts_started_idx on alerts (started_at desc, id desc);
create index alerts_owner_started_idx on alerts (owner_id, started_at desc, id desc);
create index alerts_server_started_idx on alerts (server_id, started_at desc, id desc) where server_id is not null;
create index alerts_open_idx on alerts (started_at desc, id desc) where ended_at is null;
create index alerts_server_open_idx on alerts (server_id) where ended_at is null;
create index alerts_owner_open_idx on alerts (owner_id) where ended_at is null;
create index alerts_fingerprint_idx on alerts (fingerprint, cluster_id, started_at desc);
create index alerts_unassigned_idx on alerts (owner_external_id) where owner_id is null;
create index alerts_serverless_idx on alerts (owner_id, server_external_id) where server_id is null and owner_id is not null;
comment on table alerts is 'The history: one row an episode, from firing to resolved, whatever number of notifications reported it. Reporting tools read this table.';
comment on column alerts.received_at is 'When the episode was first heard of. Never changes, so that it can partition the table by month.';
comment on column alerts.fingerprint is 'Prometheus''s fingerprint of the labels, 16 hexadecimal digits.';
comment on column alerts.owner_id is 'Our owner; null while no owner has the external id that the alert carries (unassigned).';
comment on column alerts.owner_external_id is 'The owner label as it came.';
comment on column alerts.close_reason is 'Why the episode ended; null while it is open.';

create table alert_heads (
    cluster_id integer not null references clusters,
    fingerprint text collate "C" not null,
    open_id bigint,
    open_received_at timestamptz,
    open_started_at timestamptz,
    last_end timestamptz,
    primary key (cluster_id, fingerprint),
    check ((open_id is null) = (open_received_at is null) and (open_id is null) = (open_started_at is null))
);
comment on table alert_heads is 'One row an alert identity: names its open episode, at most one by the primary key, and the end of the last one. A unique index over the partitioned history would need its partition key; this row is also what intake locks, in key order, before it decides.';

create table quarantine (
    id bigint generated always as identity primary key,
    cluster_id integer not null references clusters,
    received_at timestamptz not null default now(),
    reason text not null,
    body text not null,
    truncated boolean not null
);
create index quarantine_received_idx on quarantine (received_at);
comment on table quarantine is 'What Alertmanager sent and could not be understood, a whole body or one alert; kept 30 days, the newest 1,000.';
comment on column quarantine.body is 'The first 1 MB; what is not UTF-8 is replaced.';
