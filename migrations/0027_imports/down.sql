drop table imports;
drop function published_since;
