create table idempotency_keys (
    token_id bigint not null references tokens on delete cascade,
    key text not null check (length(key) between 1 and 255),
    request bytea not null,
    begun_at timestamptz not null default now(),
    status integer,
    location text,
    etag text,
    body text,
    primary key (token_id, key)
);
create index idempotency_keys_begun_idx on idempotency_keys (begun_at);
comment on table idempotency_keys is 'What POSTs with an Idempotency-Key were answered, for a day: the same request gets the same answer and does nothing.';
comment on column idempotency_keys.request is 'SHA-256 of the path and the body: another request with the same key is refused.';
comment on column idempotency_keys.status is 'Null while the request is under way, and for ever where prommgr was stopped meanwhile. What failed is not kept.';

-- for the door and the staff, as other rows of people are
alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy people on idempotency_keys using ((select rights_none()) or (select rights_all('seen')))
    with check ((select rights_none()) or (select rights_all('changed')));
