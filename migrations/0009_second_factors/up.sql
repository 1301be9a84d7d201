create table second_factors (
    user_id bigint primary key references users on delete cascade,
    secret bytea,
    enabled_at timestamptz,
    last_step bigint not null default 0,
    wrong integer not null default 0,
    blocked_until timestamptz,
    pending bytea,
    pending_at timestamptz,
    check ((secret is null) = (enabled_at is null)),
    check ((pending is null) = (pending_at is null)),
    check (secret is not null or pending is not null)
);
comment on table second_factors is 'What an app makes codes of (TOTP), for people who use one.';
comment on column second_factors.secret is 'Sealed under PROMMGR_SECRET_KEY and bound to the person. Null while the first one is only being set up.';
comment on column second_factors.last_step is 'The newest step of 30 seconds whose code was taken; that code and older ones are not taken again.';
comment on column second_factors.wrong is 'Wrong codes at the login since the last right one.';
comment on column second_factors.blocked_until is 'Until then no code of the app is tried; recovery codes are.';
comment on column second_factors.pending is 'One that is being set up and takes the place of the secret when a code of it is given. It asks nobody for anything.';

create table recovery_codes (
    user_id bigint not null references second_factors on delete cascade,
    hash bytea not null,
    created_at timestamptz not null default now(),
    primary key (user_id, hash)
);
comment on table recovery_codes is 'Codes that let somebody in once without the app.';
comment on column recovery_codes.hash is 'SHA-256 of the person''s id and the code, which is 80 random bits.';

-- For the door and the staff, as users are. What the settings mean, migration 0012 says; a migration of a lower
-- number cannot use its functions.
do $$
declare
    t text;
begin
    foreach t in array array['second_factors', 'recovery_codes'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($policy$create policy people on %I
            using ((select coalesce(current_setting('prommgr.seen', true), '') in ('', 'all')))
            with check ((select coalesce(current_setting('prommgr.seen', true), '') = ''
                or coalesce(current_setting('prommgr.changed', true), '') = 'all'))$policy$, t);
    end loop;
end
$$;
