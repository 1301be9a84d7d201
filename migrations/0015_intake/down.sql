alter table alerts add constraint alerts_cluster_id_fkey foreign key (cluster_id) references clusters;
alter table alert_heads reset (fillfactor);
do $$
declare
    t text;
begin
    for t in select inhrelid::regclass::text from pg_inherits where inhparent = 'alerts'::regclass loop
        execute format('alter table %s reset (fillfactor)', t);
    end loop;
end
$$;
