-- Indexes that give rows in the order of the page, with the owner in them: the policies ask for it in each row.
drop index alerts_started_idx;
create index alerts_started_idx on alerts (started_at desc, id desc) include (owner_id);
drop index alerts_open_idx;
create index alerts_open_idx on alerts (started_at desc, id desc) include (owner_id) where ended_at is null;
drop index alerts_owner_open_idx;
create index alerts_owner_open_idx on alerts (owner_id, started_at desc, id desc) include (server_id) where ended_at is null;
drop index alerts_server_open_idx;
create index alerts_long_idx on alerts (ended_at) include (owner_id) where ended_at - started_at >= interval '24 hours';
comment on index alerts_long_idx is 'What lasted long, for "open at some time since": the others began shortly before.';

create table alert_terms (
    cluster_id integer not null references clusters,
    fingerprint text collate "C" not null,
    term text collate "C" not null,
    owner_id bigint not null,
    primary key (cluster_id, fingerprint, term)
);
create index alert_terms_owner_idx on alert_terms (owner_id, term, cluster_id, fingerprint);
create index alert_terms_term_idx on alert_terms (term);
comment on table alert_terms is 'What an alert, with all of its episodes, is found by: its labels as name=value, and words in lower case of labels, first annotations and the server''s name.';
comment on column alert_terms.owner_id is 'The alert''s; 0 while it is unassigned.';

alter table alert_heads add column findable boolean not null default false;
create index alert_heads_unfindable_idx on alert_heads (cluster_id, fingerprint) where not findable;
comment on column alert_heads.findable is 'Its terms are in alert_terms.';

alter table alert_terms enable row level security;
alter table alert_terms force row level security;
create policy seen on alert_terms for select using ((select rights_all('seen')) or owner_id = any ((select rights_owners('seen'))::bigint[]));
create policy added on alert_terms for insert with check ((select rights_all('changed')) or owner_id = any ((select rights_owners('changed'))::bigint[]));
create policy changed on alert_terms for update using ((select rights_all('changed')) or owner_id = any ((select rights_owners('changed'))::bigint[]))
    with check ((select rights_all('changed')) or owner_id = any ((select rights_owners('changed'))::bigint[]));
create policy removed on alert_terms for delete using ((select rights_all('changed')) or owner_id = any ((select rights_owners('changed'))::bigint[]));

-- as before; most people have one owner, and a comparison costs a third of a look into an array
drop policy seen on alerts;
create policy seen on alerts for select using ((select rights_all('seen')) or owner_id = (select (rights_owners('seen'))[1]) or owner_id = any ((select rights_owners('seen'))::bigint[]));
