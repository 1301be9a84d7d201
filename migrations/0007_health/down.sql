drop table prometheus_health, server_health;
