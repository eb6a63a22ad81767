"""The definitions for several machines: the same, but each step is run by a worker of Celery."""

import os
from pathlib import Path

import yaml
from dagster_celery import celery_executor

from pipelines.defs.build import build_definitions
from pipelines.settings import find_home, load_accounts, read_environment

_CELERY = yaml.safe_load(Path(__file__).with_name("celery.yaml").read_text())
_HOME = find_home(os.environ).path

defs = build_definitions(
    *load_accounts(read_environment(os.environ, _HOME), _HOME),
    executor=celery_executor.configured(_CELERY["execution"]["config"]),
)
