drop table memberships, owners;
