-- customers read who set a threshold, but not which of the staff
alter table thresholds add column set_by text not null default '';
update thresholds t set set_by = u.name from users u where u.id = t.updated_by and not u.admin;
comment on column thresholds.set_by is 'The name of who set it; empty: one of the staff, whom updated_by tells to the staff, or the program.';
