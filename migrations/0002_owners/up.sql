create table owners (
    id bigint generated always as identity primary key,
    external_id text collate "C" not null,
    name text not null,
    comment text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    removed_at timestamptz
);
create unique index owners_external_id_key on owners (external_id) where removed_at is null;
create index owners_name_idx on owners (lower(name), id);
comment on table owners is 'Customers: the tenants.';
comment on column owners.external_id is 'What alerts carry in the owner label. The only id that is unique across owners; only admins set it.';
comment on column owners.removed_at is 'When it was removed; null while it exists. Removal can be undone.';

create table memberships (
    user_id bigint not null references users on delete cascade,
    owner_id bigint not null references owners on delete cascade,
    role text not null check (role in ('manager', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (user_id, owner_id)
);
create index memberships_owner_id_idx on memberships (owner_id);
comment on table memberships is 'Which user may see (viewer) or also change (manager) what is an owner''s.';
