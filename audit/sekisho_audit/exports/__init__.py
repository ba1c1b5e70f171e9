"""Taking events out of a ledger: tables for spreadsheets, and bundles that prove what they hold."""
