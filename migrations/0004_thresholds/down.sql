drop table thresholds;
