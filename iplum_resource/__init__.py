"""The vendor's side: everything that speaks HTTP and HMAC to iPlum."""
