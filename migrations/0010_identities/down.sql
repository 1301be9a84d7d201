alter table memberships drop column sso_role;
alter table users drop column admin_by_sso;
drop table identities;
