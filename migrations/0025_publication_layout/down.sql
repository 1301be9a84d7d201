alter table blobs alter column content set storage extended;
alter table publication_files drop constraint publication_files_change_check;
alter table publication_files add constraint publication_files_change_check check (change in ('added', 'changed', 'same'));
insert into publication_files (publication_id, path, sha256, change)
    select (select max(id) from publications where state in ('in_force', 'partly')), path, sha256, 'same' from files_in_force
    where exists (select from publications where state in ('in_force', 'partly'))
    on conflict do nothing;
alter table publication_files drop column before;
alter table publications drop column kept;
alter table publications drop column files;
alter table publications drop column recipe;
drop table files_in_force;
drop trigger changed on owners;
drop function owner_changed();
drop trigger stays on servers;
drop function servers_stay();
drop trigger removed on servers;
drop trigger changed on servers;
drop trigger added on servers;
drop function servers_changed();
alter table owners drop column changes;
