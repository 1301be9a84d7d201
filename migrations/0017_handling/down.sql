drop table alert_notes;
drop table acknowledgements;
