-- Customers see the ids of their colleagues, so these are shuffled too; people who exist keep theirs.
create sequence users_hidden_seq;
select setval('users_hidden_seq', coalesce(max(id), 0) + 1, false) from users;
alter table users alter column id drop identity;
alter table users alter column id set default hidden_id(nextval('users_hidden_seq'), 4);
alter sequence users_hidden_seq owned by users.id;

alter table users alter column password_hash drop not null;
alter table users add column time_zone text not null default '';
comment on column users.password_hash is 'argon2id in PHC string format; null for who has not chosen a password.';
comment on column users.time_zone is 'IANA name; empty: as the browser says.';

create sequence one_time_links_id_seq;
alter table one_time_links drop constraint one_time_links_purpose_check;
alter table one_time_links
    add column id bigint not null unique default hidden_id(nextval('one_time_links_id_seq'), 7),
    add constraint one_time_links_purpose_check check (purpose in ('setup', 'password', 'invitation')),
    add column user_id bigint references users on delete cascade,
    add column owner_id bigint references owners on delete cascade,
    add column role text check (role in ('manager', 'viewer')),
    add column note text not null default '',
    add column made_by text not null default '',
    add column made_by_id bigint references users on delete cascade,
    add constraint one_time_links_fits check (case purpose
        when 'setup' then user_id is null and owner_id is null
        when 'password' then user_id is not null and owner_id is null
        else user_id is null and owner_id is not null and role is not null and made_by_id is not null end);
alter sequence one_time_links_id_seq owned by one_time_links.id;
create index one_time_links_owner_id_idx on one_time_links (owner_id) where owner_id is not null;
create index one_time_links_user_id_idx on one_time_links (user_id) where user_id is not null;
comment on column one_time_links.user_id is 'Whose password it sets.';
comment on column one_time_links.owner_id is 'Whose member it makes, with the role.';
comment on column one_time_links.id is 'Names it to those who may revoke it, and opens no door.';
comment on column one_time_links.made_by_id is 'Who made it; an invitation works as long as they manage the owner.';
comment on column one_time_links.note is 'Whom it is meant for, in the words of who made it.';

create sequence tokens_id_seq;
create table tokens (
    id bigint primary key default hidden_id(nextval('tokens_id_seq'), 5),
    user_id bigint not null references users on delete cascade,
    owner_id bigint references owners on delete cascade,
    name text not null,
    hash bytea not null unique,
    hint text not null,
    may_write boolean not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    last_used_from text,
    unique (user_id, name)
);
alter sequence tokens_id_seq owned by tokens.id;
comment on table tokens is 'What programs present as a person, with at most that person''s rights.';
comment on column tokens.hash is 'SHA-256 of the token, which is shown once.';
comment on column tokens.hint is 'Its first characters, to recognise it by.';
comment on column tokens.owner_id is 'The one owner that it is restricted to; null: as the person.';

create sequence audit_id_seq;
create table audit (
    id bigint primary key default hidden_id(nextval('audit_id_seq'), 6),
    at timestamptz not null default clock_timestamp(),
    user_id bigint,
    user_name text not null,
    staff boolean not null,
    through text not null default '',
    address text,
    owner_id bigint references owners,
    action text collate "C" not null,
    object text not null,
    object_id bigint,
    old jsonb,
    new jsonb
);
alter sequence audit_id_seq owned by audit.id;
create index audit_at_idx on audit (at desc, id desc);
create index audit_owner_at_idx on audit (owner_id, at desc, id desc);
create index audit_object_idx on audit (action text_pattern_ops, object_id, at desc);
-- policies say nothing of truncate
create function audit_stays() returns trigger language plpgsql as $$ begin raise exception 'the audit is only added to'; end $$;
create trigger audit_stays before truncate on audit for each statement execute function audit_stays();
comment on table audit is 'Who changed what, from where and when. Rows are only ever added: no policy lets anybody change or delete one.';
comment on column audit.user_id is 'Kept when the account goes, so no foreign key; null: the command line or the program itself.';
comment on column audit.staff is 'Done by the staff or the program: customers read of it that it was the staff, and neither name nor address.';
comment on column audit.through is 'How: empty for a browser, else as "token deploy", "command line", "single sign-on".';
comment on column audit.address is 'Where it came from.';
comment on column audit.action is 'What was done to which kind of object, as server.changed.';
comment on column audit.object is 'What it was called then.';
comment on column audit.old is 'What differs, before; never a secret.';
