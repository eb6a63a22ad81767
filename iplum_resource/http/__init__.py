"""One HTTP request to iPlum: sending it, classifying its outcome, and retrying it.

Imports only `iplum_resource.errors` and `iplum_resource.window`.
"""
