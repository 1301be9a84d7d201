alter table owners add column history_days integer check (history_days between 0 and 36500);
comment on column owners.history_days is 'Days for which its alerts are kept after their end; 0: for ever; null: as the settings say.';
