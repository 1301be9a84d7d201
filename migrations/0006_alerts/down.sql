drop table quarantine, alert_heads, alerts, clusters;
