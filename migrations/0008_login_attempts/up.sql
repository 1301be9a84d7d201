-- Unlogged: each login writes here, an attacker's too, and none of them is to wait for the disk. After a
-- crash the table is empty, which costs nothing but a fresh quarter of an hour.
create unlogged table attempts (
    key bytea primary key,
    full_at timestamptz not null
);
comment on table attempts is 'Buckets of attempts at what could be guessed. A row that is missing, or whose time is over, is a full bucket.';
comment on column attempts.key is 'SHA-256 of what is counted and for whom: no name and no address is kept.';
comment on column attempts.full_at is 'When every attempt is there again; each one taken moves it.';

create table known_browsers (
    hash bytea not null,
    user_id bigint not null references users on delete cascade,
    expires_at timestamptz not null,
    primary key (hash, user_id)
);
create index known_browsers_user_id_idx on known_browsers (user_id);
comment on table known_browsers is 'Browsers in which a person has logged in before. They open no door, but no stranger can keep them from trying.';
comment on column known_browsers.hash is 'SHA-256 of the secret in the cookie.';

-- Like people and their sessions for the door, where nobody is known yet, and for the staff.
alter table attempts enable row level security;
alter table attempts force row level security;
create policy people on attempts
    using ((select coalesce(current_setting('prommgr.seen', true), '')) in ('', 'all'));
alter table known_browsers enable row level security;
alter table known_browsers force row level security;
create policy people on known_browsers
    using ((select coalesce(current_setting('prommgr.seen', true), '')) in ('', 'all'));
