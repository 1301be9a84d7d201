-- No foreign key leads to the history: it would keep months of it from being dropped. What belongs to an episode
-- that is gone is swept.
create table acknowledgements (
    alert_id bigint not null,
    received_at timestamptz not null,
    owner_id bigint references owners,
    user_id bigint,
    user_name text not null,
    staff boolean not null,
    at timestamptz not null default now(),
    primary key (alert_id, received_at)
);
create index acknowledgements_owner_idx on acknowledgements (owner_id);
comment on table acknowledgements is 'Who said of an episode that they know of it; at most one an episode.';
comment on column acknowledgements.owner_id is 'The episode''s; null while it is unassigned.';
comment on column acknowledgements.user_name is 'As it was then; customers read of the staff that it was the staff.';

create sequence alert_notes_id_seq;
create table alert_notes (
    id bigint primary key default hidden_id(nextval('alert_notes_id_seq'), 8),
    alert_id bigint not null,
    received_at timestamptz not null,
    owner_id bigint references owners,
    user_id bigint,
    user_name text not null,
    staff boolean not null,
    at timestamptz not null default clock_timestamp(),
    text text not null check (length(text) between 1 and 2000)
);
alter sequence alert_notes_id_seq owned by alert_notes.id;
create index alert_notes_alert_idx on alert_notes (alert_id, received_at, at);
create index alert_notes_owner_idx on alert_notes (owner_id);
comment on table alert_notes is 'What people wrote at an episode.';
comment on column alert_notes.owner_id is 'The episode''s; null while it is unassigned.';

do $$
declare
    seen constant text := '(select rights_all(''seen'')) or owner_id = any ((select rights_owners(''seen''))::bigint[])';
    changed constant text := '(select rights_all(''changed'')) or owner_id = any ((select rights_owners(''changed''))::bigint[])';
    t text;
begin
    foreach t in array array['acknowledgements', 'alert_notes'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy seen on %I for select using (%s)', t, seen);
        execute format('create policy added on %I for insert with check (%s)', t, changed);
        execute format('create policy changed on %I for update using (%s) with check (%s)', t, changed, changed);
        execute format('create policy removed on %I for delete using (%s)', t, changed);
    end loop;
end
$$;
