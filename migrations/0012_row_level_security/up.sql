-- Two settings say whose rows a transaction may see and change: 'all', or an array of owners. Unset, which is
-- how a connection begins, means nobody's. The program sets them with every transaction (src/store/db.rs);
-- a person with psql: set prommgr.seen = 'all'; set prommgr.changed = 'all';
--
-- In the policies they stand in scalar subqueries, so that a statement reads them once and not once a row.
create function rights_all(setting text) returns boolean language sql stable parallel safe
    as $$ select coalesce(current_setting('prommgr.' || setting, true), '') = 'all' $$;
create function rights_owners(setting text) returns bigint[] language sql stable parallel safe
    as $$ select case when current_setting('prommgr.' || setting, true) like '{%' then current_setting('prommgr.' || setting, true)::bigint[] end $$;
create function rights_none() returns boolean language sql stable parallel safe
    as $$ select coalesce(current_setting('prommgr.seen', true), '') = '' $$;
comment on function rights_all is 'Whether prommgr.seen or prommgr.changed is ''all''.';
comment on function rights_owners is 'The owners in prommgr.seen or prommgr.changed; null when there are none or all.';
comment on function rights_none is 'Whether nobody is known yet: the program at its door, reading people, sessions, tokens and links.';

alter table server_health add column owner_id bigint;
update server_health h set owner_id = s.owner_id from servers s where s.id = h.server_id;
alter table server_health alter column owner_id set not null;
comment on column server_health.owner_id is 'The server''s.';

do $$
declare
    seen constant text := '(select rights_all(''seen'')) or %1$s = any ((select rights_owners(''seen''))::bigint[])';
    changed constant text := '(select rights_all(''changed'')) or %1$s = any ((select rights_owners(''changed''))::bigint[])';
    t text;
    reads text;
    writes text;
begin
    -- tenants' rows
    foreach t in array array['owners', 'memberships', 'servers', 'server_health', 'thresholds', 'alerts', 'pending_changes'] loop
        reads := format(seen, case t when 'owners' then 'id' else 'owner_id' end);
        writes := format(changed, case t when 'owners' then 'id' else 'owner_id' end);
        if t = 'thresholds' then
            reads := 'owner_id is null or ' || reads; -- the default layer is everybody's
        end if;
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy seen on %I for select using (%s)', t, reads);
        execute format('create policy added on %I for insert with check (%s)', t, writes);
        execute format('create policy changed on %I for update using (%s) with check (%s)', t, writes, writes);
        execute format('create policy removed on %I for delete using (%s)', t, writes);
    end loop;

    -- the staff's
    foreach t in array array['publications', 'publication_files', 'publication_results', 'blobs', 'quarantine', 'alert_heads'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy staff on %I using ((select rights_all(''seen''))) with check ((select rights_all(''changed'')))', t);
    end loop;

    -- people's, for the door and the staff
    foreach t in array array['users', 'sessions', 'tokens', 'one_time_links'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy people on %I using ((select rights_none()) or (select rights_all(''seen''))) with check ((select rights_none()) or (select rights_all(''changed'')))', t);
    end loop;

    -- partitions are reached through their table only
    for t in select inhrelid::regclass::text from pg_inherits where inhparent = 'alerts'::regclass loop
        execute format('alter table %s enable row level security', t);
        execute format('alter table %s force row level security', t);
    end loop;
end
$$;

-- colleagues see each other, and managers the invitations to what they manage
create policy colleagues on users for select using (id in (select user_id from memberships));
create policy managers on one_time_links using (owner_id = any ((select rights_owners('changed'))::bigint[]))
    with check (owner_id = any ((select rights_owners('changed'))::bigint[]));

-- managers read what was done to what they manage; everybody's acts are added; nobody changes one
alter table audit enable row level security;
alter table audit force row level security;
create policy seen on audit for select using ((select rights_all('seen')) or owner_id = any ((select rights_owners('changed'))::bigint[]));
create policy added on audit for insert with check (true);

-- The two things that have to be known without rights: whose rows a person may see, and when was last published.
create function person(of_id bigint, out id bigint, out name text, out admin boolean, out time_zone text, out has_password boolean, out bond text, out sees bigint[], out manages bigint[])
    language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
begin
    perform set_config('prommgr.seen', 'all', true);
    select u.id, u.name, u.admin, u.time_zone, u.password_hash is not null,
        coalesce(encode(sha256(convert_to(u.password_hash, 'UTF8')), 'hex'), ''),
        array(select m.owner_id from memberships m join owners o on o.id = m.owner_id
              where m.user_id = u.id and o.removed_at is null order by 1),
        array(select m.owner_id from memberships m join owners o on o.id = m.owner_id
              where m.user_id = u.id and m.role = 'manager' and o.removed_at is null order by 1)
    into id, name, admin, time_zone, has_password, bond, sees, manages
    from users u where u.id = of_id and u.disabled_at is null;
    perform set_config('prommgr.seen', before, true);
end
$$;
comment on function person is 'Whose rows a person may see and change, and a digest of the password that their sessions are tied to; nulls when there is nobody, or they are disabled.';

create function last_published() returns timestamptz language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
    found timestamptz;
begin
    perform set_config('prommgr.seen', 'all', true);
    select created_at into found from publications where state in ('in_force', 'partly') order by id desc limit 1;
    perform set_config('prommgr.seen', before, true);
    return found;
end
$$;
comment on function last_published is 'When the last publication that was in force somewhere began; null: there is none.';
