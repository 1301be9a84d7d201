//! The tables as diesel sees them; written by hand, kept true by `tests/it/schema.rs`.

diesel::table! {
    users (id) {
        id -> Int8,
        name -> Text,
        admin -> Bool,
        disabled_at -> Nullable<Timestamptz>,
        last_login_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        time_zone -> Text,
        admin_by_sso -> Bool,
    }
}

diesel::table! {
    passwords (user_id) {
        user_id -> Int8,
        hash -> Text,
    }
}

diesel::table! {
    identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        user_id -> Int8,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id_hash) {
        id_hash -> Bytea,
        user_id -> Nullable<Int8>,
        data -> Jsonb,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    attempts (key) {
        key -> Bytea,
        full_at -> Timestamptz,
    }
}

diesel::table! {
    known_browsers (hash, user_id) {
        hash -> Bytea,
        user_id -> Int8,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    one_time_links (hash) {
        hash -> Bytea,
        purpose -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        user_id -> Nullable<Int8>,
        owner_id -> Nullable<Int8>,
        role -> Nullable<Text>,
        note -> Text,
        made_by -> Text,
        made_by_id -> Nullable<Int8>,
        id -> Int8,
    }
}

diesel::table! {
    tokens (id) {
        id -> Int8,
        user_id -> Int8,
        owner_id -> Nullable<Int8>,
        name -> Text,
        hash -> Bytea,
        hint -> Text,
        may_write -> Bool,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        last_used_from -> Nullable<Text>,
    }
}

diesel::table! {
    audit (id) {
        id -> Int8,
        at -> Timestamptz,
        user_id -> Nullable<Int8>,
        user_name -> Text,
        staff -> Bool,
        through -> Text,
        address -> Nullable<Text>,
        owner_id -> Nullable<Int8>,
        action -> Text,
        object -> Text,
        object_id -> Nullable<Int8>,
        old -> Nullable<Jsonb>,
        new -> Nullable<Jsonb>,
    }
}

diesel::table! {
    owners (id) {
        id -> Int8,
        external_id -> Text,
        name -> Text,
        comment -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        removed_at -> Nullable<Timestamptz>,
        history_days -> Nullable<Int4>,
        changes -> Int8,
    }
}

diesel::table! {
    memberships (user_id, owner_id) {
        user_id -> Int8,
        owner_id -> Int8,
        role -> Text,
        created_at -> Timestamptz,
        sso_role -> Nullable<Text>,
    }
}

diesel::table! {
    servers (id) {
        id -> Int8,
        owner_id -> Int8,
        external_id -> Text,
        name -> Text,
        address -> Text,
        port -> Int4,
        job -> Text,
        scheme -> Text,
        metrics_path -> Text,
        labels -> Jsonb,
        comment -> Text,
        enabled -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        removed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    thresholds (id) {
        id -> Int8,
        rule -> Text,
        severity -> Text,
        owner_id -> Nullable<Int8>,
        server_id -> Nullable<Int8>,
        value -> Nullable<Float8>,
        hold_seconds -> Int4,
        enabled -> Bool,
        updated_at -> Timestamptz,
        updated_by -> Nullable<Int8>,
        set_by -> Text,
    }
}

diesel::table! {
    publications (id) {
        id -> Int8,
        user_id -> Nullable<Int8>,
        user_name -> Text,
        revision -> Text,
        state -> Text,
        reason -> Text,
        servers -> Int4,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        recipe -> Text,
        files -> Int4,
        kept -> Bool,
        written_at -> Nullable<Timestamptz>,
        copy_of -> Nullable<Int8>,
    }
}

diesel::table! {
    files_in_force (path) {
        path -> Text,
        sha256 -> Bytea,
        changes -> Nullable<Int8>,
        servers -> Int4,
    }
}

diesel::table! {
    blobs (sha256) {
        sha256 -> Bytea,
        content -> Text,
    }
}

diesel::table! {
    publication_files (publication_id, path) {
        publication_id -> Int8,
        path -> Text,
        sha256 -> Bytea,
        change -> Text,
        before -> Nullable<Bytea>,
    }
}

diesel::table! {
    publication_results (publication_id, prometheus) {
        publication_id -> Int8,
        prometheus -> Text,
        state -> Text,
        reason -> Text,
        took_ms -> Int4,
        loaded_at -> Nullable<Timestamptz>,
        rules_at -> Nullable<Timestamptz>,
        targets_at -> Nullable<Timestamptz>,
        targets -> Text,
    }
}

diesel::table! {
    pending_changes (id) {
        id -> Int8,
        at -> Timestamptz,
        owner_id -> Nullable<Int8>,
        user_name -> Text,
        summary -> Text,
        tx -> Int8,
        publication_id -> Nullable<Int8>,
    }
}

diesel::table! {
    unpublished_rows (id) {
        id -> Int8,
        tx -> Int8,
        kind -> Text,
        key -> Text,
        owner_id -> Nullable<Int8>,
        before -> Nullable<Jsonb>,
    }
}

diesel::table! {
    drift (path) {
        path -> Text,
        change -> Text,
        found_at -> Timestamptz,
    }
}

diesel::table! {
    publishing (one_row) {
        one_row -> Bool,
        automatic -> Bool,
        quiet_seconds -> Int4,
    }
}

diesel::table! {
    server_health (server_id) {
        server_id -> Int8,
        up -> Bool,
        changed_at -> Timestamptz,
        owner_id -> Int8,
    }
}

diesel::table! {
    prometheus_health (url) {
        url -> Text,
        seen_at -> Nullable<Timestamptz>,
        error -> Text,
        heartbeat -> Nullable<Text>,
        alertmanagers -> Nullable<Int4>,
        dropped -> Nullable<Float8>,
    }
}

diesel::table! {
    alertmanager_health (url) {
        url -> Text,
        seen_at -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        error -> Text,
        heartbeats -> Jsonb,
    }
}

diesel::table! {
    heartbeats (cluster_id, prometheus) {
        cluster_id -> Int4,
        prometheus -> Text,
        first_seen_at -> Timestamptz,
        last_seen_at -> Timestamptz,
    }
}

diesel::table! {
    reconciliations (cluster_id) {
        cluster_id -> Int4,
        began_at -> Nullable<Timestamptz>,
        alertmanager -> Text,
        alerts -> Int4,
        tried_at -> Timestamptz,
        error -> Text,
    }
}

diesel::table! {
    alert_misses (alert_id) {
        alert_id -> Int8,
        cluster_id -> Int4,
        fingerprint -> Text,
        known_at -> Timestamptz,
        missed_at -> Timestamptz,
    }
}

diesel::table! {
    clusters (id) {
        id -> Int4,
        name -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    alerts (id) {
        id -> Int8,
        received_at -> Timestamptz,
        cluster_id -> Int4,
        fingerprint -> Text,
        owner_id -> Nullable<Int8>,
        server_id -> Nullable<Int8>,
        owner_external_id -> Nullable<Text>,
        server_external_id -> Nullable<Text>,
        rule -> Text,
        severity -> Text,
        instance -> Text,
        labels -> Jsonb,
        annotations -> Jsonb,
        generator_url -> Nullable<Text>,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        last_seen_at -> Timestamptz,
        close_reason -> Nullable<Text>,
        suppressed -> Nullable<Text>,
    }
}

diesel::table! {
    alert_heads (cluster_id, fingerprint) {
        cluster_id -> Int4,
        fingerprint -> Text,
        open_id -> Nullable<Int8>,
        open_received_at -> Nullable<Timestamptz>,
        open_started_at -> Nullable<Timestamptz>,
        last_end -> Nullable<Timestamptz>,
        findable -> Bool,
    }
}

diesel::table! {
    alert_terms (cluster_id, fingerprint, term) {
        cluster_id -> Int4,
        fingerprint -> Text,
        term -> Text,
        owner_id -> Int8,
    }
}

diesel::table! {
    quarantine (id) {
        id -> Int8,
        cluster_id -> Int4,
        received_at -> Timestamptz,
        reason -> Text,
        body -> Text,
        truncated -> Bool,
    }
}

diesel::table! {
    second_factors (user_id) {
        user_id -> Int8,
        secret -> Nullable<Bytea>,
        enabled_at -> Nullable<Timestamptz>,
        last_step -> Int8,
        wrong -> Int4,
        blocked_until -> Nullable<Timestamptz>,
        pending -> Nullable<Bytea>,
        pending_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    recovery_codes (user_id, hash) {
        user_id -> Int8,
        hash -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    acknowledgements (alert_id, received_at) {
        alert_id -> Int8,
        received_at -> Timestamptz,
        owner_id -> Nullable<Int8>,
        user_id -> Nullable<Int8>,
        user_name -> Text,
        staff -> Bool,
        at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (token_id, key) {
        token_id -> Int8,
        key -> Text,
        request -> Bytea,
        begun_at -> Timestamptz,
        status -> Nullable<Int4>,
        location -> Nullable<Text>,
        etag -> Nullable<Text>,
        body -> Nullable<Text>,
    }
}

diesel::table! {
    suppressions (alert_id, received_at, since) {
        alert_id -> Int8,
        received_at -> Timestamptz,
        owner_id -> Nullable<Int8>,
        why -> Text,
        since -> Timestamptz,
        until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    alert_notes (id) {
        id -> Int8,
        alert_id -> Int8,
        received_at -> Timestamptz,
        owner_id -> Nullable<Int8>,
        user_id -> Nullable<Int8>,
        user_name -> Text,
        staff -> Bool,
        at -> Timestamptz,
        text -> Text,
    }
}

diesel::table! {
    saved_filters (id) {
        id -> Int8,
        user_id -> Int8,
        name -> Text,
        query -> Text,
    }
}

diesel::table! {
    rule_kinds (name) {
        name -> Text,
        title -> Text,
        description -> Text,
        unit -> Text,
        direction -> Text,
        promql -> Text,
        needs -> Text,
        least -> Float8,
        most -> Float8,
        summary -> Text,
        warning_value -> Float8,
        warning_hold_seconds -> Int4,
        warning_enabled -> Bool,
        critical_value -> Float8,
        critical_hold_seconds -> Int4,
        critical_enabled -> Bool,
        retired_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    imports (id) {
        id -> Int8,
        user_id -> Int8,
        name -> Text,
        content -> Text,
        remove -> Bool,
        state -> Text,
        said -> Text,
        done -> Int4,
        all -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(alerts -> owners (owner_id));
diesel::joinable!(alerts -> servers (server_id));
diesel::joinable!(audit -> owners (owner_id));
diesel::joinable!(memberships -> owners (owner_id));
diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(passwords -> users (user_id));
diesel::joinable!(publication_files -> blobs (sha256));
diesel::joinable!(publication_files -> publications (publication_id));
diesel::joinable!(publication_results -> publications (publication_id));
diesel::joinable!(server_health -> servers (server_id));
diesel::joinable!(servers -> owners (owner_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(thresholds -> servers (server_id));
diesel::joinable!(thresholds -> users (updated_by));
diesel::joinable!(tokens -> owners (owner_id));
diesel::joinable!(tokens -> users (user_id));
diesel::joinable!(one_time_links -> owners (owner_id));

diesel::allow_tables_to_appear_in_same_query!(
    alerts,
    audit,
    blobs,
    clusters,
    quarantine,
    memberships,
    one_time_links,
    owners,
    passwords,
    publication_files,
    publication_results,
    publications,
    rule_kinds,
    server_health,
    servers,
    sessions,
    thresholds,
    tokens,
    users,
);
