drop table known_browsers;
drop table attempts;
