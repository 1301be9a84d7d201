drop table memberships, owners;
drop function hidden_id;
