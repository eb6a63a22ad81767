"""The HTTP receiver of callbacks: the application, its server, and group commits into the inbox."""
