drop table one_time_links, sessions, users;
