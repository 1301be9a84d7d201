create table rule_kinds (
    name text collate "C" primary key check (name ~ '^[a-z][a-z0-9_]{1,58}[a-z0-9]$'),
    title text not null check (length(title) between 1 and 60),
    description text not null,
    unit text not null,
    direction text not null check (direction in ('above', 'below')),
    promql text not null check (length(promql) between 1 and 2000),
    needs text not null,
    least double precision not null,
    most double precision not null,
    summary text not null,
    warning_value double precision not null check (warning_value between least and most),
    warning_hold_seconds integer not null check (warning_hold_seconds between 0 and 604800),
    warning_enabled boolean not null,
    critical_value double precision not null check (critical_value between least and most),
    critical_hold_seconds integer not null check (critical_hold_seconds between 0 and 604800),
    critical_enabled boolean not null,
    retired_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check (least < most)
);
comment on table rule_kinds is 'The rule kinds that admins made, beside those that are built in. They are nobody''s: everybody''s thresholds are of them.';
comment on column rule_kinds.name is 'The alert''s name; never changes.';
comment on column rule_kinds.promql is 'What Prometheus records as the kind''s value; it was parsed, keeps the owner''s and the server''s label, and was tried.';
comment on column rule_kinds.needs is 'The metrics that it reads, by "|".';
comment on column rule_kinds.least is 'The least value of a threshold, in the unit.';
comment on column rule_kinds.most is 'The highest value of a threshold, in the unit.';
comment on column rule_kinds.summary is 'The alert''s annotation, a template of Prometheus.';
comment on column rule_kinds.retired_at is 'Since when it is no longer published, as thresholds or open alerts are of it; null: it is in use.';

alter table rule_kinds enable row level security;
alter table rule_kinds force row level security;
create policy seen on rule_kinds for select using (true);
create policy added on rule_kinds for insert with check ((select rights_all('changed')));
create policy changed on rule_kinds for update using ((select rights_all('changed'))) with check ((select rights_all('changed')));
create policy removed on rule_kinds for delete using ((select rights_all('changed')));
