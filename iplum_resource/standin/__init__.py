"""A stand-in for iPlum's API: a real HTTP server that plays it from the vendor's document alone.

Belongs here: everything a client could meet, well-behaved or not. Does not belong here: any line of the
client. What the two agree on is the document; shared code would make them agree on their mistakes too.
Nothing but tests and one command imports this.
"""

from iplum_resource.standin.application import create_app
from iplum_resource.standin.options import Options
from iplum_resource.standin.push import Pusher, PushReport
from iplum_resource.standin.server import Running, running, serve
from iplum_resource.standin.stage import Received

__all__ = ["Options", "PushReport", "Pusher", "Received", "Running", "create_app", "running", "serve"]
