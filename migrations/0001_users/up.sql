create table users (
    id bigint generated always as identity primary key,
    name text not null,
    password_hash text not null,
    admin boolean not null default false,
    disabled_at timestamptz,
    last_login_at timestamptz,
    created_at timestamptz not null default now()
);
create unique index users_name_key on users (lower(name));
comment on table users is 'People who may log in. Admins see everything, others what their memberships name.';
comment on column users.password_hash is 'argon2id in PHC string format.';

create table sessions (
    id_hash bytea primary key,
    user_id bigint references users on delete cascade,
    data jsonb not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default now()
);
create index sessions_user_id_idx on sessions (user_id);
create index sessions_expires_at_idx on sessions (expires_at);
comment on table sessions is 'Sessions of browsers, signed in or not yet.';
comment on column sessions.id_hash is 'SHA-256 of the id in the cookie, so that a copy of this table opens no door.';

create table one_time_links (
    hash bytea primary key,
    purpose text not null check (purpose in ('setup')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
comment on table one_time_links is 'Links that work once, by the SHA-256 of their secret.';
