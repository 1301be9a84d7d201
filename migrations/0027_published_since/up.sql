-- Customers read what Prometheus recorded under their owner's number, and that number may have been another's.
create function published_since(since timestamptz) returns timestamptz language plpgsql as $$
declare
    before constant text := coalesce(current_setting('prommgr.seen', true), '');
    found timestamptz;
begin
    perform set_config('prommgr.seen', 'all', true);
    select min(finished_at) into found from publications where state = 'in_force' and created_at > since;
    perform set_config('prommgr.seen', before, true);
    return found;
end
$$;
comment on function published_since is 'When the first publication that began after that moment was in force everywhere; null: there is none.';
