-- Out of service in an orderly way: retired, and wiped once nothing is left on it.
ALTER TABLE hubs DROP CONSTRAINT hubs_access_check;
ALTER TABLE hubs ADD CONSTRAINT hubs_access_check
    CHECK (access IN ('active', 'suspended', 'revoked', 'retired', 'wiped'));

-- The serial number of the computer that enrolled as this hub, where it told one.
ALTER TABLE hubs ADD COLUMN hub_serial text;

-- Claims that were made up to then do not let the hub come back: a label may have lain in a drawer since.
ALTER TABLE hubs ADD COLUMN refuse_claims_until timestamptz;
UPDATE hubs SET refuse_claims_until = refuse_issued_before WHERE access = 'revoked';
