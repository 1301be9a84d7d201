-- Customers read what Prometheus recorded under their owner's number, and that number may have been another's.
create function published_since(since timestamptz) returns timestamptz language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
    found timestamptz;
begin
    perform set_config('prommgr.seen', 'all', true);
    select min(finished_at) into found from publications where state = 'in_force' and created_at > since;
    perform set_config('prommgr.seen', before, true);
    return found;
end
$$;
comment on function published_since is 'When the first publication that began after that moment was in force everywhere; null: there is none.';

create sequence imports_id_seq;
create table imports (
    id bigint primary key default hidden_id(nextval('imports_id_seq'), 27),
    user_id bigint not null references users on delete cascade,
    name text not null,
    content text not null,
    remove boolean not null,
    state text not null default 'ready' check (state in ('ready', 'under_way', 'done', 'failed')),
    said text not null default '',
    done integer not null default 0,
    "all" integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index imports_user_id_idx on imports (user_id, created_at desc);
alter sequence imports_id_seq owned by imports.id;
comment on table imports is 'Files of servers that people have handed in; what they would change is found out anew each time somebody looks, with the rights of then.';
comment on column imports.remove is 'Servers of the file''s owners that are not in it are removed.';
comment on column imports.updated_at is 'Each second while it is under way, so that one whose instance ended is seen.';

-- for the door and the staff, as other rows of people are
alter table imports enable row level security;
alter table imports force row level security;
create policy people on imports using ((select rights_none()) or (select rights_all('seen')))
    with check ((select rights_none()) or (select rights_all('changed')));
