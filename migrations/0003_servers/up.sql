create sequence servers_id_seq;
create table servers (
    id bigint primary key default hidden_id(nextval('servers_id_seq'), 2),
    owner_id bigint not null references owners,
    external_id text collate "C" not null,
    name text not null,
    address text not null,
    port integer not null check (port between 1 and 65535),
    job text not null default 'node',
    scheme text not null default 'http' check (scheme in ('http', 'https')),
    metrics_path text not null default '/metrics',
    labels jsonb not null default '{}',
    comment text not null default '',
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    removed_at timestamptz,
    -- for the foreign keys of children, so that no child can name another owner than its server's
    constraint servers_owner_id_id_key unique (owner_id, id)
);
create unique index servers_address_key on servers (owner_id, address, port, job) where removed_at is null;
create unique index servers_external_id_key on servers (owner_id, external_id) where removed_at is null;
create index servers_name_idx on servers (lower(name), id) where removed_at is null;
create index servers_owner_name_idx on servers (owner_id, lower(name), id) where removed_at is null;
comment on table servers is 'Scrape targets. Addresses and external ids are unique per owner among those not removed, so that no customer learns of another by a conflict.';
comment on column servers.address is 'IPv4, IPv6 (without brackets) or DNS name, in canonical form.';
comment on column servers.job is 'The kind of exporter, the job label of the target.';
comment on column servers.enabled is 'Paused (false) servers are not published.';
alter sequence servers_id_seq owned by servers.id;
