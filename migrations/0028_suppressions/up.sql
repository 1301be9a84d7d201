-- No foreign key leads to the history, as with acknowledgements: what belongs to an episode that is gone is swept.
create table suppressions (
    alert_id bigint not null,
    received_at timestamptz not null,
    owner_id bigint references owners,
    why text not null check (why in ('silenced', 'inhibited', 'muted')),
    since timestamptz not null default now(),
    until timestamptz,
    primary key (alert_id, received_at, since)
);
create index suppressions_owner_idx on suppressions (owner_id);
create index suppressions_lasting_idx on suppressions (alert_id, received_at) where until is null;
comment on table suppressions is 'From when to when Alertmanager notified nobody of an open episode, as the comparison each minute found it.';
comment on column suppressions.owner_id is 'The episode''s; null while it is unassigned.';
comment on column suppressions.until is 'Null while it lasts.';

do $$
declare
    seen constant text := '(select rights_all(''seen'')) or owner_id = any ((select rights_owners(''seen''))::bigint[])';
    changed constant text := '(select rights_all(''changed'')) or owner_id = any ((select rights_owners(''changed''))::bigint[])';
begin
    alter table suppressions enable row level security;
    alter table suppressions force row level security;
    execute format('create policy seen on suppressions for select using (%s)', seen);
    execute format('create policy added on suppressions for insert with check (%s)', changed);
    execute format('create policy changed on suppressions for update using (%s) with check (%s)', changed, changed);
    execute format('create policy removed on suppressions for delete using (%s)', changed);
end
$$;
