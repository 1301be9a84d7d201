-- What an owner's target file is made of is counted where it is changed, so that publishing reads and renders the
-- servers of those owners only whose count moved. The counter's row lock orders changes of one owner: who sees a count
-- sees every change that it counts.
alter table owners add column changes bigint not null default 0;
comment on column owners.changes is 'Counts changes of what is published of it: its external id, whether it is removed, its servers. Kept by triggers.';

create function servers_changed() returns trigger language plpgsql as $$
begin
    -- in one order, so that two that change servers of several owners do not wait for each other
    perform 1 from owners where id in (select owner_id from touched) order by id for no key update;
    update owners set changes = changes + 1 where id in (select owner_id from touched);
    return null;
end
$$;
create trigger added after insert on servers referencing new table as touched for each statement execute function servers_changed();
create trigger changed after update on servers referencing new table as touched for each statement execute function servers_changed();
create trigger removed after delete on servers referencing old table as touched for each statement execute function servers_changed();

create function servers_stay() returns trigger language plpgsql as $$
begin
    raise exception 'a server is moved to another owner by removing it and adding it there';
end
$$;
create trigger stays before update of owner_id on servers for each row when (old.owner_id <> new.owner_id) execute function servers_stay();

create function owner_changed() returns trigger language plpgsql as $$
begin
    new.changes := old.changes + 1;
    return new;
end
$$;
create trigger changed before update on owners for each row
    when (old.external_id <> new.external_id or old.removed_at is distinct from new.removed_at) execute function owner_changed();

-- A publication keeps what it changed, with what was there before. What is in force stands once, and how it was at an earlier
-- publication follows by going back from there; so a publication that is too old is taken away without touching others.
create table files_in_force (
    path text collate "C" primary key,
    sha256 bytea not null,
    changes bigint,
    servers integer not null default 0
);
comment on table files_in_force is 'Every file of the last publication that was in force somewhere: what folders and HTTP SD serve. The bytes are in blobs.';
comment on column files_in_force.changes is 'owners.changes when the file was made of the owner''s servers; null: it was not, so it is made anew.';
comment on column files_in_force.servers is 'How many servers are in it.';
insert into files_in_force (path, sha256)
    select path, sha256 from publication_files
    where publication_id = (select max(id) from publications where state in ('in_force', 'partly'));

alter table publications add column recipe text not null default '';
alter table publications add column files integer not null default 0;
alter table publications add column kept boolean not null default true;
comment on column publications.recipe is 'What target files are made by, a digest of a sample: files of another one are made anew.';
comment on column publications.files is 'How many files it has, changed by it or not.';
comment on column publications.kept is 'Whether its files are still there; those of old publications are taken away.';
update publications p set files = (select count(*) from publication_files f where f.publication_id = p.id);

alter table publication_files add column before bytea;
comment on table publication_files is 'The files that a publication changed against what was in force when it began.';
comment on column publication_files.before is 'The file in force before; null: there was none. No foreign key: it would be checked for each of thousands of files.';
update publication_files f set before = old.sha256 from publication_files old
    where f.change <> 'same' and old.path = f.path
      and old.publication_id = (select max(id) from publications p where p.id < f.publication_id and p.state in ('in_force', 'partly'));
delete from publication_files where change = 'same';
alter table publication_files drop constraint publication_files_change_check;
alter table publication_files add constraint publication_files_change_check check (change in ('added', 'changed'));

-- compressing them takes longer than all the rest of writing them
alter table blobs alter column content set storage external;

alter table files_in_force enable row level security;
alter table files_in_force force row level security;
create policy staff on files_in_force using ((select rights_all('seen'))) with check ((select rights_all('changed')));
