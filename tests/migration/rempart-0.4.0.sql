CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.allowances (
    key_id bigint NOT NULL,
    tokens double precision NOT NULL,
    filled_at timestamp with time zone NOT NULL
);
CREATE TABLE public.audit_head (
    id smallint NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT ck_audit_head_digest CHECK ((length(digest) = 32)),
    CONSTRAINT ck_audit_head_one_row CHECK ((id = 1))
);
CREATE TABLE public.audit_log (
    sequence bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor character varying(128) NOT NULL,
    act character varying(64) NOT NULL,
    subject character varying(255) NOT NULL,
    details text NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT ck_audit_log_digest CHECK ((length(digest) = 32))
);
CREATE TABLE public.banks (
    id bigint NOT NULL,
    name character varying(255) NOT NULL COLLATE pg_catalog."C",
    kind character varying(16) NOT NULL,
    harm character varying(16) NOT NULL,
    radius smallint NOT NULL,
    quality_floor smallint NOT NULL,
    turned boolean NOT NULL,
    max_age_seconds integer,
    created_at timestamp with time zone NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    video_query_percent smallint DEFAULT 80,
    video_banked_percent smallint DEFAULT 80,
    video_run_seconds double precision DEFAULT 5.0,
    enabled_ratio double precision DEFAULT 1.0 NOT NULL,
    CONSTRAINT ck_banks_enabled_ratio CHECK (((enabled_ratio >= (0)::double precision) AND (enabled_ratio <= (1)::double precision))),
    CONSTRAINT ck_banks_harm CHECK (((harm)::text = ANY ((ARRAY['csam'::character varying, 'exploitative'::character varying, 'ncii_adult'::character varying, 'other'::character varying])::text[]))),
    CONSTRAINT ck_banks_kind CHECK (((kind)::text = ANY ((ARRAY['blocking'::character varying, 'allowing'::character varying])::text[]))),
    CONSTRAINT ck_banks_max_age_seconds CHECK ((max_age_seconds > 0)),
    CONSTRAINT ck_banks_quality_floor CHECK (((quality_floor >= 0) AND (quality_floor <= 100))),
    CONSTRAINT ck_banks_radius CHECK (((radius >= 0) AND (radius <= 63))),
    CONSTRAINT ck_banks_video_banked_percent CHECK (((video_banked_percent >= 1) AND (video_banked_percent <= 100))),
    CONSTRAINT ck_banks_video_query_percent CHECK (((video_query_percent >= 1) AND (video_query_percent <= 100))),
    CONSTRAINT ck_banks_video_run_seconds CHECK ((video_run_seconds > (0)::double precision))
);
CREATE SEQUENCE public.banks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.banks_id_seq OWNED BY public.banks.id;
CREATE TABLE public.changes (
    id bigint NOT NULL,
    bank_id bigint NOT NULL,
    first_entry bigint NOT NULL,
    last_entry bigint NOT NULL,
    token bigint NOT NULL,
    CONSTRAINT ck_changes_range CHECK ((first_entry <= last_entry))
);
CREATE SEQUENCE public.changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.changes_id_seq OWNED BY public.changes.id;
CREATE TABLE public.client_metadata (
    entry_id bigint NOT NULL,
    content json NOT NULL
);
CREATE TABLE public.entries (
    id bigint NOT NULL,
    bank_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    source_record text,
    note text,
    disabled_until timestamp with time zone,
    enabled_ratio double precision,
    opinions json,
    CONSTRAINT ck_entries_enabled_ratio CHECK (((enabled_ratio >= (0)::double precision) AND (enabled_ratio <= (1)::double precision)))
);
CREATE SEQUENCE public.entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.entries_id_seq OWNED BY public.entries.id;
CREATE TABLE public.flood_samples (
    entry_id bigint NOT NULL,
    value bytea NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_flood_samples_length CHECK ((length(value) = 32))
);
CREATE TABLE public.hashes (
    entry_id bigint NOT NULL,
    kind character varying(8) NOT NULL,
    value bytea NOT NULL,
    quality smallint,
    variant character varying(64),
    at_ms integer,
    CONSTRAINT ck_hashes_at_ms CHECK ((at_ms >= 0)),
    CONSTRAINT ck_hashes_kind CHECK (((kind)::text = ANY ((ARRAY['pdq'::character varying, 'vpdq'::character varying, 'md5'::character varying, 'sha1'::character varying, 'sha256'::character varying])::text[]))),
    CONSTRAINT ck_hashes_length CHECK ((length(value) =
CASE kind
    WHEN 'pdq'::text THEN 32
    WHEN 'vpdq'::text THEN 32
    WHEN 'md5'::text THEN 16
    WHEN 'sha1'::text THEN 20
    WHEN 'sha256'::text THEN 32
    ELSE NULL::integer
END)),
    CONSTRAINT ck_hashes_quality CHECK (((quality >= 0) AND (quality <= 100)))
);
CREATE TABLE public.idempotency (
    key_id bigint NOT NULL,
    token character varying(128) NOT NULL,
    request bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_idempotency_request CHECK ((length(request) = 32))
);
CREATE TABLE public.jobs (
    id bigint NOT NULL,
    kind character varying(64) NOT NULL,
    payload bytea NOT NULL,
    state character varying(16) NOT NULL,
    dedupe character varying(128),
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    attempts smallint NOT NULL,
    most_attempts smallint NOT NULL,
    leased_by character varying(128),
    lease_until timestamp with time zone,
    finished_at timestamp with time zone,
    error character varying(255),
    CONSTRAINT ck_jobs_lease CHECK ((((state)::text = 'running'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT ck_jobs_state CHECK (((state)::text = ANY ((ARRAY['waiting'::character varying, 'running'::character varying, 'done'::character varying, 'dead'::character varying, 'cancelled'::character varying])::text[])))
);
CREATE SEQUENCE public.jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.jobs_id_seq OWNED BY public.jobs.id;
CREATE TABLE public.key_banks (
    key_id bigint NOT NULL,
    bank_id bigint NOT NULL
);
CREATE TABLE public.key_scopes (
    key_id bigint NOT NULL,
    scope character varying(16) NOT NULL,
    CONSTRAINT ck_key_scopes_scope CHECK (((scope)::text = ANY ((ARRAY['screen'::character varying, 'match'::character varying, 'distance'::character varying, 'curate'::character varying, 'admin'::character varying])::text[])))
);
CREATE TABLE public.keys (
    id bigint NOT NULL,
    name character varying(255) NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    per_minute integer,
    every_bank boolean NOT NULL,
    CONSTRAINT ck_keys_digest CHECK ((length(digest) = 32)),
    CONSTRAINT ck_keys_per_minute CHECK ((per_minute > 0))
);
CREATE SEQUENCE public.keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.keys_id_seq OWNED BY public.keys.id;
CREATE TABLE public.lookups (
    key_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    kind character varying(32) NOT NULL,
    outcome character varying(16) NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.quarantines (
    entry_id bigint NOT NULL,
    state character varying(16) NOT NULL,
    since timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    note text,
    CONSTRAINT ck_quarantines_state CHECK (((state)::text = ANY ((ARRAY['quarantined'::character varying, 'confirmed'::character varying, 'lifted'::character varying])::text[])))
);
CREATE TABLE public.schedules (
    name character varying(255) NOT NULL COLLATE pg_catalog."C",
    kind character varying(64) NOT NULL,
    payload bytea NOT NULL,
    every_seconds integer NOT NULL,
    next_at timestamp with time zone NOT NULL,
    enabled boolean NOT NULL,
    CONSTRAINT ck_schedules_every_seconds CHECK ((every_seconds > 0))
);
CREATE TABLE public.signal_types (
    name character varying(32) NOT NULL,
    enabled_ratio double precision NOT NULL,
    CONSTRAINT ck_signal_types_enabled_ratio CHECK (((enabled_ratio >= (0)::double precision) AND (enabled_ratio <= (1)::double precision)))
);
ALTER TABLE ONLY public.banks ALTER COLUMN id SET DEFAULT nextval('public.banks_id_seq'::regclass);
ALTER TABLE ONLY public.changes ALTER COLUMN id SET DEFAULT nextval('public.changes_id_seq'::regclass);
ALTER TABLE ONLY public.entries ALTER COLUMN id SET DEFAULT nextval('public.entries_id_seq'::regclass);
ALTER TABLE ONLY public.jobs ALTER COLUMN id SET DEFAULT nextval('public.jobs_id_seq'::regclass);
ALTER TABLE ONLY public.keys ALTER COLUMN id SET DEFAULT nextval('public.keys_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0003');
INSERT INTO public.allowances VALUES (1, 12.5, '2026-11-22 19:30:00.25+00');
INSERT INTO public.audit_head VALUES (1, 3, '\x2bccbca9366a2aa0ce5df3a7c823181c19f6960a96745a400a7f7c7f6a97ba0c');
INSERT INTO public.audit_log VALUES (1, '2026-11-22 19:30:00.25+00', 'cli:keeper', 'audit_started', 'audit', '{"database":"e2d1fe10-8dfa-4188-96e7-e1b1290d9739"}', '\x53bd8e03b979ceee1b72fe00a22a6e84c4d4369f9987e95385e7e26b27dff6e5');
INSERT INTO public.audit_log VALUES (2, '2026-11-22 19:30:00.25+00', 'cli:keeper', 'bank_created', 'bank:1', '{"radius":31,"turned":true}', '\xf7c3521fc4b6508278e47e1b84c56409653676bd5ed9665bed177287f9e80d27');
INSERT INTO public.audit_log VALUES (3, '2026-11-22 19:30:00.25+00', 'cli:keeper', 'entries_added', 'bank:1', '{"entries":3}', '\x2bccbca9366a2aa0ce5df3a7c823181c19f6960a96745a400a7f7c7f6a97ba0c');
INSERT INTO public.banks VALUES (1, 'KNOWN', 'blocking', 'csam', 31, 50, true, 604800, '2026-11-22 19:30:00.25+00', '2027-12-27 19:30:00.25+00', 80, NULL, 2.5, 1);
INSERT INTO public.banks VALUES (2, '_FINE_2', 'allowing', 'other', 63, 0, false, NULL, '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', NULL, 1, NULL, 0.25);
INSERT INTO public.changes VALUES (1, 1, 1, 3, 4611686018427387905);
INSERT INTO public.changes VALUES (2, 2, 4, 4, 5);
INSERT INTO public.changes VALUES (3, 1, 5, 6, 6);
INSERT INTO public.client_metadata VALUES (2, '{"content_id": "7", "json": {"a": [1]}}');
INSERT INTO public.entries VALUES (1, 1, '2026-11-22 19:30:00.25+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.entries VALUES (2, 1, '2026-11-22 19:30:00.25+00', 'record 7', 'gesehen: Köln, 灯台', NULL, 0.25, '{"true_positive": 2, "who": ["a", "b"]}');
INSERT INTO public.entries VALUES (3, 1, '2026-11-22 19:30:00.25+00', NULL, NULL, '2027-12-27 19:30:00.25+00', 1, '[]');
INSERT INTO public.entries VALUES (4, 2, '2026-11-22 19:30:00.25+00', NULL, 'a form', NULL, NULL, NULL);
INSERT INTO public.entries VALUES (5, 1, '2026-11-22 19:30:00.25+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.flood_samples VALUES (1, '\x038f4917e557929736a98abccc62aae8edbada747126edfaf59a7ea6ef26eb2a', '2026-11-22 19:30:00.25+00');
INSERT INTO public.flood_samples VALUES (1, '\x6eb719967fb4c8474a025107acf530538a3e260a34939cc058f9010f899cf119', '2026-11-22 19:30:00.25+00');
INSERT INTO public.hashes VALUES (1, 'md5', '\x6012153bfe95e04c02191b497b4e22c2', NULL, NULL, NULL);
INSERT INTO public.hashes VALUES (1, 'pdq', '\xdc7691ef00031a072cdb9d3644cb1f5047ac80e1e67bdee39e3daab15490a810', 100, 'full', NULL);
INSERT INTO public.hashes VALUES (1, 'pdq', '\x347d0704838aab975b109d5269e15d4ac36f4cd32d6372918d8102a4171aae4f', 51, 'trimmed', NULL);
INSERT INTO public.hashes VALUES (1, 'sha1', '\x51556f57bf0ad1bb05db87042d56cd6c5fa7f909', NULL, NULL, NULL);
INSERT INTO public.hashes VALUES (1, 'sha256', '\x3ea493d0d7c729e447b8669dc371188e8fb5d7722c24d65ca674c6075bce7f28', NULL, NULL, NULL);
INSERT INTO public.hashes VALUES (2, 'vpdq', '\xb48255a89a9a72cc4b032e5401314bfd76a01ee96683c95f8ad478b0222c6f98', 90, 'full', 0);
INSERT INTO public.hashes VALUES (2, 'vpdq', '\xa8c98c2d5da00158abe09216cf5c939f6aa09f2c47269c80820524e2ce8328fe', 0, NULL, 3600000);
INSERT INTO public.hashes VALUES (3, 'sha256', '\xc5bd72414c4535c3e76f6e288685e13cefe21222448df41430d3979688c5c078', NULL, NULL, NULL);
INSERT INTO public.hashes VALUES (4, 'pdq', '\x80842265e690818d90b9278b03aaf03036afb9ba831a43b348af3703d892601a', NULL, NULL, NULL);
INSERT INTO public.hashes VALUES (5, 'md5', '\x89c05ce81903eec8f15b77e1003366ad', NULL, NULL, NULL);
INSERT INTO public.idempotency VALUES (2, '9b2c', '\x27cfadfff451557dac6aceba616981bdfb388924ac218190dd94872914d7693e', 201, '\x7b226964223a317d00ff', '2026-11-22 19:30:00.25+00');
INSERT INTO public.jobs VALUES (1, 'compact_bank', '\x7b2262616e6b223a317d', 'waiting', 'bank:1', '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', 0, 8, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES (2, 'compact_bank', '\x7b2262616e6b223a317d', 'running', 'bank:2', '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', 1, 8, 'worker-1', '2027-12-27 19:30:00.25+00', NULL, NULL);
INSERT INTO public.jobs VALUES (3, 'compact_bank', '\x7b2262616e6b223a317d', 'done', 'bank:1', '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', 2, 8, NULL, NULL, '2027-12-27 19:30:00.25+00', NULL);
INSERT INTO public.jobs VALUES (4, 'compact_bank', '\x7b2262616e6b223a317d', 'dead', 'bank:1', '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', 3, 8, NULL, NULL, '2027-12-27 19:30:00.25+00', 'SnapshotError');
INSERT INTO public.jobs VALUES (5, 'compact_bank', '\x7b2262616e6b223a317d', 'cancelled', NULL, '2026-11-22 19:30:00.25+00', '2026-11-22 19:30:00.25+00', 4, 8, NULL, NULL, '2027-12-27 19:30:00.25+00', NULL);
INSERT INTO public.key_banks VALUES (1, 1);
INSERT INTO public.key_banks VALUES (1, 2);
INSERT INTO public.key_scopes VALUES (1, 'distance');
INSERT INTO public.key_scopes VALUES (1, 'match');
INSERT INTO public.key_scopes VALUES (1, 'screen');
INSERT INTO public.key_scopes VALUES (2, 'admin');
INSERT INTO public.key_scopes VALUES (2, 'curate');
INSERT INTO public.keys VALUES (1, 'uploads', '\xdd22487396494fc5efb198ef57883ef26c872191a13cd24e6b6c9d64e6afb1d9', '2026-11-22 19:30:00.25+00', '2027-12-27 19:30:00.25+00', NULL, 600, false);
INSERT INTO public.keys VALUES (2, 'curator', '\xef33dc27dea50027f74e2093678e9cf64ce4a2b98df8fde2531b48a9a34df4de', '2026-11-22 19:30:00.25+00', NULL, '2027-12-27 19:30:00.25+00', NULL, true);
INSERT INTO public.lookups VALUES (1, '2026-11-22 19:00:00+00', 'hash', 'clear', 1099511627776);
INSERT INTO public.lookups VALUES (1, '2026-11-22 19:00:00+00', 'hash', 'near', 3);
INSERT INTO public.quarantines VALUES (1, 'quarantined', '2026-11-22 19:30:00.25+00', NULL, NULL);
INSERT INTO public.quarantines VALUES (2, 'confirmed', '2026-11-22 19:30:00.25+00', '2027-12-27 19:30:00.25+00', 'a form');
INSERT INTO public.quarantines VALUES (4, 'lifted', '2026-11-22 19:30:00.25+00', '2027-12-27 19:30:00.25+00', NULL);
INSERT INTO public.schedules VALUES ('sweep', 'sweep_jobs', '\x7b7d', 3600, '2027-12-27 19:30:00.25+00', true);
INSERT INTO public.schedules VALUES ('Off', 'sweep_jobs', '\x', 1, '2026-11-22 19:30:00.25+00', false);
INSERT INTO public.signal_types VALUES ('video_md5', 0.5);
SELECT pg_catalog.setval('public.banks_id_seq', 2, true);
SELECT pg_catalog.setval('public.changes_id_seq', 3, true);
SELECT pg_catalog.setval('public.entries_id_seq', 6, true);
SELECT pg_catalog.setval('public.jobs_id_seq', 5, true);
SELECT pg_catalog.setval('public.keys_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.allowances
    ADD CONSTRAINT pk_allowances PRIMARY KEY (key_id);
ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT pk_audit_head PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT pk_audit_log PRIMARY KEY (sequence);
ALTER TABLE ONLY public.banks
    ADD CONSTRAINT pk_banks PRIMARY KEY (id);
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT pk_changes PRIMARY KEY (id);
ALTER TABLE ONLY public.client_metadata
    ADD CONSTRAINT pk_client_metadata PRIMARY KEY (entry_id);
ALTER TABLE ONLY public.entries
    ADD CONSTRAINT pk_entries PRIMARY KEY (id);
ALTER TABLE ONLY public.flood_samples
    ADD CONSTRAINT pk_flood_samples PRIMARY KEY (entry_id, value);
ALTER TABLE ONLY public.hashes
    ADD CONSTRAINT pk_hashes PRIMARY KEY (entry_id, kind, value);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT pk_idempotency PRIMARY KEY (key_id, token);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);
ALTER TABLE ONLY public.key_banks
    ADD CONSTRAINT pk_key_banks PRIMARY KEY (key_id, bank_id);
ALTER TABLE ONLY public.key_scopes
    ADD CONSTRAINT pk_key_scopes PRIMARY KEY (key_id, scope);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT pk_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.lookups
    ADD CONSTRAINT pk_lookups PRIMARY KEY (key_id, hour, kind, outcome);
ALTER TABLE ONLY public.quarantines
    ADD CONSTRAINT pk_quarantines PRIMARY KEY (entry_id);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT pk_schedules PRIMARY KEY (name);
ALTER TABLE ONLY public.signal_types
    ADD CONSTRAINT pk_signal_types PRIMARY KEY (name);
ALTER TABLE ONLY public.banks
    ADD CONSTRAINT uq_banks_name UNIQUE (name);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT uq_keys_digest UNIQUE (digest);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT uq_keys_name UNIQUE (name);
CREATE INDEX ix_changes_bank_id_id ON public.changes USING btree (bank_id, id);
CREATE INDEX ix_entries_bank_id ON public.entries USING btree (bank_id);
CREATE INDEX ix_entries_disabled_until ON public.entries USING btree (disabled_until) WHERE (disabled_until IS NOT NULL);
CREATE INDEX ix_hashes_kind_value ON public.hashes USING btree (kind, value);
CREATE INDEX ix_jobs_state_due_at ON public.jobs USING btree (state, due_at);
CREATE UNIQUE INDEX uq_jobs_dedupe_live ON public.jobs USING btree (kind, dedupe) WHERE (((state)::text = ANY ((ARRAY['waiting'::character varying, 'running'::character varying])::text[])) AND (dedupe IS NOT NULL));
ALTER TABLE ONLY public.allowances
    ADD CONSTRAINT fk_allowances_key_id_keys FOREIGN KEY (key_id) REFERENCES public.keys(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT fk_changes_bank_id_banks FOREIGN KEY (bank_id) REFERENCES public.banks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.client_metadata
    ADD CONSTRAINT fk_client_metadata_entry_id_entries FOREIGN KEY (entry_id) REFERENCES public.entries(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.entries
    ADD CONSTRAINT fk_entries_bank_id_banks FOREIGN KEY (bank_id) REFERENCES public.banks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.flood_samples
    ADD CONSTRAINT fk_flood_samples_entry_id_entries FOREIGN KEY (entry_id) REFERENCES public.entries(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hashes
    ADD CONSTRAINT fk_hashes_entry_id_entries FOREIGN KEY (entry_id) REFERENCES public.entries(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT fk_idempotency_key_id_keys FOREIGN KEY (key_id) REFERENCES public.keys(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_banks
    ADD CONSTRAINT fk_key_banks_bank_id_banks FOREIGN KEY (bank_id) REFERENCES public.banks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_banks
    ADD CONSTRAINT fk_key_banks_key_id_keys FOREIGN KEY (key_id) REFERENCES public.keys(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_scopes
    ADD CONSTRAINT fk_key_scopes_key_id_keys FOREIGN KEY (key_id) REFERENCES public.keys(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.quarantines
    ADD CONSTRAINT fk_quarantines_entry_id_entries FOREIGN KEY (entry_id) REFERENCES public.entries(id) ON DELETE CASCADE;
