"""What the user decides: every environment variable, its default and its check, read in this one place."""

from pipelines.settings.account import AlertSettings, Settings, check_account, load_settings
from pipelines.settings.credentials import SecretNames, check_credentials, read_callback_token, read_limiter_url
from pipelines.settings.environment import PROJECT, adopt_environment, read_env_file, read_environment
from pipelines.settings.values import SettingsError, read_day
from pipelines.settings.variables import VARIABLES, Variable

__all__ = [
    "PROJECT",
    "VARIABLES",
    "AlertSettings",
    "SecretNames",
    "Settings",
    "SettingsError",
    "Variable",
    "adopt_environment",
    "check_account",
    "check_credentials",
    "load_settings",
    "read_callback_token",
    "read_day",
    "read_env_file",
    "read_environment",
    "read_limiter_url",
]
