drop function last_published;
drop function person;
do $$
declare p record;
begin
    for p in select schemaname, tablename, policyname from pg_policies where schemaname = current_schema() loop
        execute format('drop policy %I on %I.%I', p.policyname, p.schemaname, p.tablename);
    end loop;
    for p in select oid::regclass::text as t from pg_class where relrowsecurity and relnamespace = current_schema()::regnamespace loop
        execute format('alter table %s disable row level security', p.t);
        execute format('alter table %s no force row level security', p.t);
    end loop;
end
$$;
alter table server_health drop column owner_id;
drop function rights_none;
drop function rights_owners;
drop function rights_all;
