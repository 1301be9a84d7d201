drop function last_heartbeat;
alter table prometheus_health drop column heartbeat, drop column alertmanagers, drop column dropped;
drop table heartbeats;
drop table alertmanager_health;
drop table alert_misses;
drop table reconciliations;
alter table alerts drop column suppressed;
