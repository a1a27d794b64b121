-- Slashing protection of Web3Signer, schema version 12: what the tests make in place of the operator's migrations.

CREATE TABLE database_version (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL
);
INSERT INTO database_version VALUES (1, 12);

CREATE TABLE metadata (
    id INTEGER PRIMARY KEY,
    genesis_validators_root BYTEA NOT NULL,
    high_watermark_epoch NUMERIC(20),
    high_watermark_slot NUMERIC(20)
);

CREATE TABLE validators (
    id SERIAL PRIMARY KEY,
    public_key BYTEA NOT NULL UNIQUE,
    enabled BOOLEAN NOT NULL DEFAULT TRUE
);

CREATE TABLE signed_blocks (
    id BIGSERIAL PRIMARY KEY,
    validator_id INTEGER NOT NULL REFERENCES validators (id),
    slot NUMERIC(20) NOT NULL,
    signing_root BYTEA,
    CONSTRAINT unique_signed_block UNIQUE (validator_id, slot)
);

CREATE TABLE signed_attestations (
    id BIGSERIAL PRIMARY KEY,
    validator_id INTEGER NOT NULL REFERENCES validators (id),
    source_epoch NUMERIC(20) NOT NULL,
    target_epoch NUMERIC(20) NOT NULL,
    signing_root BYTEA,
    CONSTRAINT unique_signed_attestation UNIQUE (validator_id, target_epoch)
);

CREATE TABLE low_watermarks (
    validator_id INTEGER NOT NULL UNIQUE REFERENCES validators (id),
    slot NUMERIC(20),
    source_epoch NUMERIC(20),
    target_epoch NUMERIC(20),
    CONSTRAINT both_epochs_set_or_null CHECK ((source_epoch IS NULL) = (target_epoch IS NULL))
);

-- The high watermark stays above every low one, whichever of the two changes.
CREATE FUNCTION high_is_above_low() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM low_watermarks l
        WHERE NEW.high_watermark_slot <= l.slot
           OR NEW.high_watermark_epoch <= GREATEST(l.source_epoch, l.target_epoch)
    ) THEN
        RAISE EXCEPTION 'high watermark must be above every low watermark';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER high_is_above_low BEFORE INSERT OR UPDATE ON metadata
    FOR EACH ROW EXECUTE FUNCTION high_is_above_low();

CREATE FUNCTION low_is_not_above_high() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM metadata m
        WHERE NEW.slot > m.high_watermark_slot
           OR GREATEST(NEW.source_epoch, NEW.target_epoch) > m.high_watermark_epoch
    ) THEN
        RAISE EXCEPTION 'low watermark must not be above the high watermark';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER low_is_not_above_high BEFORE INSERT OR UPDATE ON low_watermarks
    FOR EACH ROW EXECUTE FUNCTION low_is_not_above_high();
