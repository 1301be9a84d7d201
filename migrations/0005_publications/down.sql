drop table pending_changes, publication_results, publication_files, blobs, publications;
