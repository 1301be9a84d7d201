create sequence saved_filters_id_seq;
create table saved_filters (
    id bigint primary key default hidden_id(nextval('saved_filters_id_seq'), 9),
    user_id bigint not null references users on delete cascade,
    name text not null check (length(name) between 1 and 60),
    query text not null check (length(query) between 1 and 1000),
    unique (user_id, name)
);
alter sequence saved_filters_id_seq owned by saved_filters.id;
comment on table saved_filters is 'What people narrow the history to again and again, by their own names for it; nobody else sees them.';
comment on column saved_filters.query is 'The filters as they stand in the URL. They may name what the person no longer sees: they are asked for anew each time, with the rights of then.';

-- for the door and the staff, as other rows of people are: backups read as the staff
alter table saved_filters enable row level security;
alter table saved_filters force row level security;
create policy people on saved_filters using ((select rights_none()) or (select rights_all('seen')))
    with check ((select rights_none()) or (select rights_all('changed')));
