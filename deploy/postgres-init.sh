#!/bin/sh
# Run by the postgres image when it makes its cluster. prommgr's role owns its database and is
# no superuser, because row-level security does not hold for a superuser.
psql --username postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
\set password `cat /run/secrets/database_password`
create role prommgr login nosuperuser nobypassrls nocreatedb nocreaterole password :'password';
create database prommgr owner prommgr;
SQL
