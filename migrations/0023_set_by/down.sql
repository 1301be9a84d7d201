alter table thresholds drop column set_by;
