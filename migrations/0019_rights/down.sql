-- as before
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
