drop table audit, tokens;
drop function audit_stays;
alter table one_time_links
    drop constraint one_time_links_fits,
    drop constraint one_time_links_purpose_check,
    drop column user_id, drop column owner_id, drop column role, drop column note, drop column made_by,
    drop column made_by_id, drop column id;
delete from one_time_links where purpose <> 'setup';
alter table one_time_links add constraint one_time_links_purpose_check check (purpose in ('setup'));
alter table users drop column time_zone;
delete from users where password_hash is null;
alter table users alter column password_hash set not null;
alter table users alter column id drop default;
drop sequence users_hidden_seq;
alter table users alter column id add generated always as identity;
select setval(pg_get_serial_sequence('users', 'id'), (select coalesce(max(id), 0) + 1 from users), false);
