-- Notes of changes stay with the publication that brought them, so that it can be told what it was about.
alter table pending_changes add column tx bigint not null default (pg_current_xact_id()::text::bigint);
alter table pending_changes add column publication_id bigint references publications on delete cascade;
create index pending_changes_waiting_idx on pending_changes (tx) where publication_id is null;
create index pending_changes_publication_idx on pending_changes (publication_id) where publication_id is not null;
comment on table pending_changes is 'What was changed, in words and by whom; written with the change. A publication that is in force takes over what its snapshot saw, so that a change committed meanwhile waits.';
comment on column pending_changes.tx is 'The transaction, by which rows of unpublished_rows find who changed them. Means nothing after a restore.';
comment on column pending_changes.publication_id is 'The publication that brought it; null: it waits.';

-- What rows were like before they were changed, the oldest of each row as it was last published: what waits is the difference to
-- now, and discarding puts it back. Kept by triggers, so that nothing can be changed past it.
create table unpublished_rows (
    id bigint generated always as identity primary key,
    tx bigint not null default (pg_current_xact_id()::text::bigint),
    kind text collate "C" not null check (kind in ('owner', 'server', 'threshold')),
    key text collate "C" not null,
    owner_id bigint references owners on delete cascade,
    before jsonb
);
create index unpublished_rows_key_idx on unpublished_rows (kind, key, id);
create index unpublished_rows_tx_idx on unpublished_rows (tx);
create index unpublished_rows_owner_idx on unpublished_rows (owner_id);
comment on table unpublished_rows is 'Rows that were changed since they were published, as they were before each change. A publication that is in force removes what its snapshot saw.';
comment on column unpublished_rows.key is 'The id; of a threshold rule/severity/owner/server.';
comment on column unpublished_rows.owner_id is 'Whose row it is; null: a default.';
comment on column unpublished_rows.before is 'The row; null: there was none.';

create function threshold_key(rule text, severity text, owner_id bigint, server_id bigint) returns text language sql immutable parallel safe
    as $$ select rule || '/' || severity || '/' || coalesce(owner_id::text, '') || '/' || coalesce(server_id::text, '') $$;
comment on function threshold_key is 'What a threshold is of: a row that was reset and set again is the same to people.';

create function keep_servers() returns trigger language plpgsql as $$
begin
    case tg_op
    when 'INSERT' then
        insert into unpublished_rows (kind, key, owner_id) select 'server', id, owner_id from come;
    when 'UPDATE' then
        insert into unpublished_rows (kind, key, owner_id, before)
        select 'server', o.id, o.owner_id, to_jsonb(o) from gone o join come n using (id)
        where (o.external_id, o.address, o.port, o.job, o.scheme, o.metrics_path, o.labels, o.enabled, o.removed_at)
            is distinct from (n.external_id, n.address, n.port, n.job, n.scheme, n.metrics_path, n.labels, n.enabled, n.removed_at);
    when 'DELETE' then
        -- an owner that goes for good takes its servers along
        insert into unpublished_rows (kind, key, owner_id, before)
        select 'server', o.id, o.owner_id, to_jsonb(o) from gone o where exists (select from owners where id = o.owner_id);
    end case;
    return null;
end
$$;
create trigger kept_added after insert on servers referencing new table as come for each statement execute function keep_servers();
create trigger kept_changed after update on servers referencing old table as gone new table as come for each statement execute function keep_servers();
create trigger kept_removed after delete on servers referencing old table as gone for each statement execute function keep_servers();

create function keep_owners() returns trigger language plpgsql as $$
begin
    case tg_op
    when 'INSERT' then
        insert into unpublished_rows (kind, key, owner_id) select 'owner', id, id from come;
    when 'UPDATE' then
        insert into unpublished_rows (kind, key, owner_id, before)
        select 'owner', o.id, o.id, to_jsonb(o) from gone o join come n using (id)
        where (o.external_id, o.removed_at) is distinct from (n.external_id, n.removed_at);
    end case;
    return null;
end
$$;
create trigger kept_added after insert on owners referencing new table as come for each statement execute function keep_owners();
create trigger kept_changed after update on owners referencing old table as gone new table as come for each statement execute function keep_owners();

create function keep_thresholds() returns trigger language plpgsql as $$
begin
    case tg_op
    when 'INSERT' then
        insert into unpublished_rows (kind, key, owner_id) select 'threshold', threshold_key(n.rule, n.severity, n.owner_id, n.server_id), n.owner_id from come n;
    when 'UPDATE' then
        insert into unpublished_rows (kind, key, owner_id, before)
        select 'threshold', threshold_key(o.rule, o.severity, o.owner_id, o.server_id), o.owner_id, to_jsonb(o) from gone o join come n using (id)
        where (o.value, o.hold_seconds, o.enabled) is distinct from (n.value, n.hold_seconds, n.enabled);
    when 'DELETE' then
        insert into unpublished_rows (kind, key, owner_id, before)
        select 'threshold', threshold_key(o.rule, o.severity, o.owner_id, o.server_id), o.owner_id, to_jsonb(o) from gone o
        where o.owner_id is null or exists (select from owners where id = o.owner_id);
    end case;
    return null;
end
$$;
create trigger kept_added after insert on thresholds referencing new table as come for each statement execute function keep_thresholds();
create trigger kept_changed after update on thresholds referencing old table as gone new table as come for each statement execute function keep_thresholds();
create trigger kept_removed after delete on thresholds referencing old table as gone for each statement execute function keep_thresholds();

-- The steps of a publication, each as it was seen.
alter table publications add column written_at timestamptz;
alter table publications add column copy_of bigint references publications on delete set null;
comment on column publications.written_at is 'When its files stood in the folder; null: they do not yet, or were taken back.';
comment on column publications.copy_of is 'The publication whose files it brought back; null: its files were made of the rows.';
alter table publication_results add column loaded_at timestamptz;
alter table publication_results add column rules_at timestamptz;
alter table publication_results add column targets_at timestamptz;
alter table publication_results add column targets text not null default '';
alter table publication_results drop constraint publication_results_state_check;
alter table publication_results add constraint publication_results_state_check
    check (state in ('waiting', 'in_force', 'refused', 'unreachable', 'unverified'));
comment on column publication_results.state is 'Of the rules. waiting: it has not answered yet.';
comment on column publication_results.loaded_at is 'When it had read the files after a reload, by its own word; null: it did not, or it had the rules already.';
comment on column publication_results.rules_at is 'When its rules were seen in force.';
comment on column publication_results.targets_at is 'When its targets were seen to be those that were published.';
comment on column publication_results.targets is 'Why that was not seen; empty: it was, or is still waited for.';

-- Files that another hand has changed in the folder.
create table drift (
    path text collate "C" primary key,
    change text not null check (change in ('added', 'changed', 'removed')),
    found_at timestamptz not null default now()
);
comment on table drift is 'Files in the folder that are not as they were published. Looked for each minute; publishing looks for itself.';

create table publishing (
    one_row boolean primary key default true check (one_row),
    automatic boolean not null default false,
    quiet_seconds integer not null default 30 check (quiet_seconds between 5 and 3600)
);
comment on table publishing is 'Whether changes are published by themselves, once nothing was changed for so long. One row.';
insert into publishing default values;

do $$
declare
    seen constant text := '(select rights_all(''seen'')) or owner_id = any ((select rights_owners(''seen''))::bigint[])';
    changed constant text := '(select rights_all(''changed'')) or owner_id = any ((select rights_owners(''changed''))::bigint[])';
    t text;
begin
    alter table unpublished_rows enable row level security;
    alter table unpublished_rows force row level security;
    execute format('create policy seen on unpublished_rows for select using (%s)', seen);
    execute format('create policy added on unpublished_rows for insert with check (%s)', changed);
    create policy removed on unpublished_rows for delete using ((select rights_all('changed')));
    foreach t in array array['drift', 'publishing'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy staff on %I using ((select rights_all(''seen''))) with check ((select rights_all(''changed'')))', t);
    end loop;
end
$$;
