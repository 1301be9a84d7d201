-- Colleagues see each other's rows in users, so what must not be seen is not in them.
create table passwords (
    user_id bigint primary key references users on delete cascade,
    hash text not null
);
comment on table passwords is 'What people log in with, for the door and the staff; no row for who has not chosen one.';
comment on column passwords.hash is 'argon2id in PHC string format.';
insert into passwords (user_id, hash) select id, password_hash from users where password_hash is not null;
alter table users drop column password_hash;
alter table passwords enable row level security;
alter table passwords force row level security;
create policy people on passwords using ((select rights_none()) or (select rights_all('seen'))) with check ((select rights_none()) or (select rights_all('changed')));

-- as before, from the table where passwords are now; and for the door and the staff only
create or replace function person(of_id bigint, out id bigint, out name text, out admin boolean, out time_zone text, out has_password boolean, out bond text, out sees bigint[], out manages bigint[])
    language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
begin
    if before not in ('', 'all') then
        return;
    end if;
    perform set_config('prommgr.seen', 'all', true);
    select u.id, u.name, u.admin, u.time_zone, p.hash is not null, coalesce(encode(sha256(convert_to(p.hash, 'UTF8')), 'hex'), ''),
        array(select m.owner_id from memberships m join owners o on o.id = m.owner_id
              where m.user_id = u.id and o.removed_at is null order by 1),
        array(select m.owner_id from memberships m join owners o on o.id = m.owner_id
              where m.user_id = u.id and m.role = 'manager' and o.removed_at is null order by 1)
    into id, name, admin, time_zone, has_password, bond, sees, manages
    from users u left join passwords p on p.user_id = u.id where u.id = of_id and u.disabled_at is null;
    perform set_config('prommgr.seen', before, true);
end
$$;

create function may_invite(person bigint, to_owner bigint) returns boolean language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
    may boolean;
begin
    perform set_config('prommgr.seen', 'all', true);
    may := exists (select from users u where u.id = person and u.disabled_at is null and (u.admin or exists (
        select from memberships m join owners o on o.id = m.owner_id and o.removed_at is null
        where m.user_id = u.id and m.owner_id = to_owner and m.role = 'manager')));
    perform set_config('prommgr.seen', before, true);
    return may;
end
$$;
comment on function may_invite is 'Whether an invitation by that person to that owner works: an admin or a manager of it made it, and is not disabled.';

-- customers do not read who of the staff it was
update one_time_links l set made_by = 'Staff' from users u where u.id = l.made_by_id and u.admin and l.purpose = 'invitation';
comment on column one_time_links.made_by is 'Who made it, by name; "Staff" where customers read it and it was one of the staff.';

-- a third setting says whose acts a customer's transaction notes
create function rights_person() returns bigint language sql stable parallel safe
    as $$ select nullif(current_setting('prommgr.person', true), '')::bigint $$;
comment on function rights_person is 'Who prommgr.person says that asks; null for the door, the staff and the program.';
drop policy added on audit;
create policy added on audit for insert with check ((select rights_none()) or (select rights_all('changed'))
    or owner_id = any ((select rights_owners('changed'))::bigint[]) and user_id = (select rights_person()));
