"""Downloads from the media host: which URLs are media URLs, the SSRF check, and the download itself.

Imports `iplum_resource.errors` and `iplum_resource.http`.
"""
