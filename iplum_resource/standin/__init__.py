"""A stand-in for iPlum's API: a real HTTP server that plays it from the vendor's document alone."""

from iplum_resource.standin.application import create_app
from iplum_resource.standin.options import Options
from iplum_resource.standin.push import Pusher, PushReport
from iplum_resource.standin.server import Running, running, serve
from iplum_resource.standin.stage import Received

__all__ = ["Options", "PushReport", "Pusher", "Received", "Running", "create_app", "running", "serve"]
