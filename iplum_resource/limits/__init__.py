"""Limits on requests: the rate limit shared by processes and machines, and the circuit breaker of one client.

Imports only `iplum_resource.errors`.
"""
