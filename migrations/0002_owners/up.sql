-- Ids that customers see must not count what others have: a sequence's numbers are shuffled (a Feistel
-- network of four rounds over the low 32 bits, so no two are alike) with a key of this database.
do $$
begin
    execute format($f$
        create function hidden_id(n bigint, of_table integer) returns bigint language plpgsql immutable strict parallel safe as $body$
        declare
            l bigint := (n >> 16) & 65535;
            r bigint := n & 65535;
            t bigint := of_table::bigint << 16;
        begin
            l := l # (hashint8extended(t | r, %1$s) & 65535);
            r := r # (hashint8extended(t | l, %2$s) & 65535);
            l := l # (hashint8extended(t | r, %3$s) & 65535);
            r := r # (hashint8extended(t | l, %4$s) & 65535);
            return ((n >> 32) << 32) | (l << 16) | r;
        end
        $body$
    $f$, variadic (select array_agg(hashtextextended(gen_random_uuid()::text, 0)::text) from generate_series(1, 4)));
end
$$;
comment on function hidden_id is 'Shuffles the low 32 bits of a number, one to one, with this database''s key; differently for each table, so that ids of two tables do not tell their order either.';

create sequence owners_id_seq;
create table owners (
    id bigint primary key default hidden_id(nextval('owners_id_seq'), 1),
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
alter sequence owners_id_seq owned by owners.id;
