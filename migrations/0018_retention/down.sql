alter table owners drop column history_days;
