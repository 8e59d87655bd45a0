"""The lake: small files, Delta tables and the ledger."""
