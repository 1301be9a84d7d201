drop table rule_kinds;
