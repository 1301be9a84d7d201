alter table alerts add column suppressed text check (suppressed in ('silenced', 'inhibited', 'muted'));
comment on column alerts.suppressed is 'Why Alertmanager does not notify it, or did not when it ended; null: it does.';

create table reconciliations (
    cluster_id integer primary key references clusters,
    began_at timestamptz,
    alertmanager text not null default '',
    alerts integer not null default 0,
    tried_at timestamptz not null default now(),
    error text not null default ''
);
comment on table reconciliations is 'When the history was last compared with what each Alertmanager cluster has.';
comment on column reconciliations.began_at is 'Of the last one that came to its end; null: none did.';
comment on column reconciliations.alertmanager is 'Who answered it, without credentials.';
comment on column reconciliations.alerts is 'How many alerts it named.';
comment on column reconciliations.error is 'Why the one of tried_at did not come to its end; empty: it did.';

create table alert_misses (
    alert_id bigint primary key,
    cluster_id integer not null references clusters,
    fingerprint text collate "C" not null,
    known_at timestamptz not null,
    missed_at timestamptz not null
);
create index alert_misses_cluster_idx on alert_misses (cluster_id, fingerprint);
comment on table alert_misses is 'Open episodes that Alertmanager no longer names. They wait a while for its word of the end, which is exact, and are then closed.';
comment on column alert_misses.known_at is 'When it was last heard that it fires.';
comment on column alert_misses.missed_at is 'When it was first found missing: by then it had ended.';

create table alertmanager_health (
    url text primary key,
    seen_at timestamptz,
    started_at timestamptz,
    error text not null default '',
    heartbeats jsonb not null default '[]'
);
comment on table alertmanager_health is 'When each Alertmanager last answered, what went wrong since, and which heartbeats it has.';
comment on column alertmanager_health.url is 'Without credentials.';

create table heartbeats (
    cluster_id integer not null references clusters,
    prometheus text collate "C" not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    primary key (cluster_id, prometheus)
);
comment on table heartbeats is 'When the alert that always fires last came by the webhook, from each Prometheus.';
comment on column heartbeats.prometheus is 'Its external URL, as the heartbeat says it.';

alter table prometheus_health add column heartbeat text;
alter table prometheus_health add column alertmanagers integer;
alter table prometheus_health add column dropped double precision;
comment on column prometheus_health.heartbeat is 'What its heartbeat calls it; null: it does not fire there, or nobody knows.';
comment on column prometheus_health.alertmanagers is 'How many it sends to; null: nobody knows.';
comment on column prometheus_health.dropped is 'Alerts that it could not send in the five minutes before; null: nobody knows.';

do $$
declare
    t text;
begin
    foreach t in array array['reconciliations', 'alert_misses', 'alertmanager_health', 'heartbeats'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy staff on %I using ((select rights_all(''seen''))) with check ((select rights_all(''changed'')))', t);
    end loop;
end
$$;

-- Customers learn that alerts may be late, and nothing of what is where.
create function last_heartbeat() returns timestamptz language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
    found timestamptz;
begin
    perform set_config('prommgr.seen', 'all', true);
    select min(h.last_seen_at) into found from heartbeats h join prometheus_health p on p.heartbeat = h.prometheus;
    perform set_config('prommgr.seen', before, true);
    return found;
end
$$;
comment on function last_heartbeat is 'When the heartbeat last came that has been missing for the longest; null: none ever came.';
