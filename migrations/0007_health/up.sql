create table server_health (
    server_id bigint primary key references servers on delete cascade,
    up boolean not null,
    changed_at timestamptz not null default now()
);
comment on table server_health is 'Whether Prometheus reaches a server, by its up series; no row: not known. Written when it changes, by one instance.';

create table prometheus_health (
    url text primary key,
    seen_at timestamptz,
    error text not null default ''
);
comment on table prometheus_health is 'When each Prometheus last answered, and what went wrong since.';
comment on column prometheus_health.url is 'Without credentials.';
