-- Programs find servers by the numbers that others use, across owners.
create index servers_lookup_external_id_idx on servers (external_id) where removed_at is null;
create index servers_lookup_address_idx on servers (address) where removed_at is null;
-- And read all of an owner's, page by page.
create index servers_owner_id_idx on servers (owner_id, id) where removed_at is null;
