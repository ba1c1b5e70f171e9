"""What clear and release share: file a hold, wait for its outcome, settle it, keep it whole."""
