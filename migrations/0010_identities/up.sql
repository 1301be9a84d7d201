create table identities (
    issuer text collate "C" not null,
    subject text collate "C" not null,
    user_id bigint not null references users on delete cascade,
    created_at timestamptz not null default now(),
    primary key (issuer, subject)
);
create index identities_user_id_idx on identities (user_id);
comment on table identities is 'Which person comes back from single sign-on under which id of the provider''s.';
comment on column identities.issuer is 'The provider, as it calls itself.';
comment on column identities.subject is 'The provider''s lasting id of the person; names and addresses may change hands.';

-- as for everything about people: the program at its door, and the staff
alter table identities enable row level security;
alter table identities force row level security;
create policy people on identities
    using ((select coalesce(current_setting('prommgr.seen', true), '') in ('', 'all')))
    with check ((select coalesce(current_setting('prommgr.seen', true), '') = '' or coalesce(current_setting('prommgr.changed', true), '') = 'all'));

alter table users add column admin_by_sso boolean not null default false;
comment on column users.admin_by_sso is 'Whether a group of single sign-on made this person an admin, and may take it back. Means nothing where admin is false.';
alter table memberships add column sso_role text check (sso_role in ('manager', 'viewer'));
comment on column memberships.sso_role is 'The role that a group of single sign-on gave. While it is the role, groups may change it or take it back; another role was set by hand, and stays.';
