"""Several processes on one ledger, simulated: virtual time, one seed."""
