//! Signing keys, minting and judging tokens (contract, section 5).
