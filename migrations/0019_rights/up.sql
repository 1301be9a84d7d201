-- As before, in one walk over the memberships: it is asked with every request.
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
        coalesce(m.sees, '{}'), coalesce(m.manages, '{}')
    into id, name, admin, time_zone, has_password, bond, sees, manages
    from users u left join passwords p on p.user_id = u.id, lateral (
        select array_agg(s.owner_id) as sees, array_agg(s.owner_id) filter (where s.role = 'manager') as manages
        from (select m.owner_id, m.role from memberships m where m.user_id = u.id
              and (select true from owners o where o.id = m.owner_id and o.removed_at is null limit 1) order by m.owner_id) s) m
    where u.id = of_id and u.disabled_at is null;
    perform set_config('prommgr.seen', before, true);
end
$$;
