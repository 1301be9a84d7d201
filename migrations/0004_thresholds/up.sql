create table thresholds (
    id bigint generated always as identity primary key,
    rule text collate "C" not null,
    severity text collate "C" not null check (severity in ('warning', 'critical')),
    owner_id bigint references owners,
    server_id bigint,
    value double precision,
    hold_seconds integer not null check (hold_seconds between 0 and 604800),
    enabled boolean not null,
    updated_at timestamptz not null default now(),
    updated_by bigint references users on delete set null,
    foreign key (owner_id, server_id) references servers (owner_id, id),
    check (server_id is null or owner_id is not null)
);
-- three indexes, as "nulls not distinct" needs PostgreSQL 15 and 14 is supported
create unique index thresholds_default_key on thresholds (rule, severity) where owner_id is null;
create unique index thresholds_owner_key on thresholds (owner_id, rule, severity) where owner_id is not null and server_id is null;
create unique index thresholds_server_key on thresholds (server_id, rule, severity) where server_id is not null;
comment on table thresholds is 'What differs from the catalogue of rule kinds, in three layers: default (no owner), owner, server. The narrowest layer replaces rule and severity as a whole.';
comment on column thresholds.value is 'In the unit of the rule kind; null for kinds without a value.';
comment on column thresholds.hold_seconds is 'How long the condition holds before the alert fires.';
