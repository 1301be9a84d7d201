drop index servers_lookup_external_id_idx;
drop index servers_lookup_address_idx;
drop index servers_owner_id_idx;
